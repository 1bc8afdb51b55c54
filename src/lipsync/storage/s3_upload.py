"""Upload to a bucket, in one request or in parts, cancelled within one read.

boto3's own transfers retry a failed read as a broken connection, and leave parts behind that they fail to abort. So the
calls are made here, one part after the other, without holding a part in memory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from lipsync.errors import Cancelled
from lipsync.monitor import Monitor, Progress
from lipsync.storage.base import STAGE
from lipsync.storage.source import open_source

MEBIBYTE = 1 << 20
MIN_PART_BYTES = 8 * MEBIBYTE
MAX_PARTS = 10_000  # S3's limit


class _Stopped(BaseException):
    """Cancelled during a read. Not an Exception, because botocore retries those as network failures."""


class FileSection:
    """Section of an open file with the interface of a file."""

    def __init__(self, file: BinaryIO, start: int, size: int, monitor: Monitor) -> None:
        self._file, self._start, self._size, self._monitor = file, start, size, monitor
        self._position = 0

    def read(self, amount: int | None = -1) -> bytes:
        if self._monitor.cancelled:
            raise _Stopped
        remaining = self._size - self._position
        count = remaining if amount is None or amount < 0 else min(amount, remaining)
        self._file.seek(self._start + self._position)
        block = self._file.read(count)
        self._position += len(block)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + {0: 0, 1: self._position, 2: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position


def part_size(size: int) -> int:
    """Return the part size in bytes for a file of ``size`` bytes: at least 8 MiB, for at most 10,000 parts."""
    return max(MIN_PART_BYTES, -(-size // (MAX_PARTS * MEBIBYTE)) * MEBIBYTE)


def upload(
    client: Any, target: Mapping[str, str], path: Path, size: int, extra: Mapping[str, Any], monitor: Monitor
) -> None:
    """Upload a file to ``target`` (Bucket, Key) with the parameters ``extra``. A failed upload leaves nothing behind.

    Raises botocore's errors unchanged, FileMissing, NotAFile, FileUnreadable, Cancelled.
    """
    with open_source(path) as file:
        try:
            monitor.check()
            if size <= MIN_PART_BYTES:
                _put_object(client, target, FileSection(file, 0, size, monitor), size, extra, monitor)
            else:
                _put_parts(client, target, file, size, extra, monitor)
        except _Stopped:
            raise Cancelled("stopped on request") from None


def _put_object(
    client: Any, target: Mapping[str, str], body: FileSection, size: int, extra: Mapping[str, Any], monitor: Monitor
) -> None:
    start = time.monotonic()
    client.put_object(**target, **extra, Body=body)
    monitor.report(Progress(STAGE, size, size, time.monotonic() - start))


def _put_parts(
    client: Any, target: Mapping[str, str], file: BinaryIO, size: int, extra: Mapping[str, Any], monitor: Monitor
) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    upload_id = {**target, "UploadId": client.create_multipart_upload(**target, **extra)["UploadId"]}
    try:
        parts = _send_parts(client, upload_id, file, size, monitor)
        client.complete_multipart_upload(**upload_id, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(BotoCoreError, ClientError):  # the next attempt or the deletion aborts it
            client.abort_multipart_upload(**upload_id)
        raise


def _send_parts(
    client: Any, upload_id: Mapping[str, str], file: BinaryIO, size: int, monitor: Monitor
) -> list[dict[str, Any]]:
    began, step, parts = time.monotonic(), part_size(size), []
    for number, offset in enumerate(range(0, size, step), 1):
        length = min(step, size - offset)
        body = FileSection(file, offset, length, monitor)
        parts.append(
            {"PartNumber": number, "ETag": client.upload_part(**upload_id, PartNumber=number, Body=body)["ETag"]}
        )
        monitor.report(Progress(STAGE, offset + length, size, time.monotonic() - began))
        monitor.check()
    return parts
