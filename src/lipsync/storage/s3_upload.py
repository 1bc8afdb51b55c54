"""A file on its way into a bucket, in one piece or in parts, which stops within one read when it is to.

boto3's own transfers take a failing read for a broken connection and try again, and lose parts that could not be
taken back; so the few calls are made here, one part after the other, without any part in memory.
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
PART = 8 * MEBIBYTE
MOST_PARTS = 10_000  # S3's


class _Stopped(BaseException):
    """Somebody asked to stop. No Exception, as botocore takes each of those for a failure of the network."""


class FileSection:
    """A part of a file, read as if it were a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int, monitor: Monitor) -> None:
        self._file, self._start, self._size, self._monitor = file, start, size, monitor
        self._at = 0

    def read(self, amount: int | None = -1) -> bytes:
        if self._monitor.cancelled:
            raise _Stopped
        left = self._size - self._at
        wanted = left if amount is None or amount < 0 else min(amount, left)
        self._file.seek(self._start + self._at)
        block = self._file.read(wanted)
        self._at += len(block)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def part_size(size: int) -> int:
    """Bytes of a part of a file of ``size`` bytes: whole mebibytes, 8 or as many as 10,000 parts need."""
    return max(PART, -(-size // (MOST_PARTS * MEBIBYTE)) * MEBIBYTE)


def upload(
    client: Any, place: Mapping[str, str], path: Path, size: int, extra: Mapping[str, Any], monitor: Monitor
) -> None:
    """Send the file to ``place`` (Bucket, Key) with what ``extra`` says about it.

    Raises botocore's errors as they come, FileMissing, FileUnreadable, Cancelled; nothing is left behind then.
    """
    with open_source(path) as file:
        try:
            monitor.check()
            if size <= PART:
                _whole(client, place, FileSection(file, 0, size, monitor), size, extra, monitor)
            else:
                _in_parts(client, place, file, size, extra, monitor)
        except _Stopped:
            raise Cancelled("stopped on request") from None


def _whole(
    client: Any, place: Mapping[str, str], body: FileSection, size: int, extra: Mapping[str, Any], monitor: Monitor
) -> None:
    began = time.monotonic()
    client.put_object(**place, **extra, Body=body)
    monitor.report(Progress(STAGE, size, size, time.monotonic() - began))


def _in_parts(
    client: Any, place: Mapping[str, str], file: BinaryIO, size: int, extra: Mapping[str, Any], monitor: Monitor
) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    named = {**place, "UploadId": client.create_multipart_upload(**place, **extra)["UploadId"]}
    try:
        parts = _send_parts(client, named, file, size, monitor)
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(BotoCoreError, ClientError):  # then the next attempt, or the deletion, takes it away
            client.abort_multipart_upload(**named)
        raise


def _send_parts(
    client: Any, named: Mapping[str, str], file: BinaryIO, size: int, monitor: Monitor
) -> list[dict[str, Any]]:
    began, step, parts = time.monotonic(), part_size(size), []
    for number, start in enumerate(range(0, size, step), 1):
        length = min(step, size - start)
        body = FileSection(file, start, length, monitor)
        parts.append({"PartNumber": number, "ETag": client.upload_part(**named, PartNumber=number, Body=body)["ETag"]})
        monitor.report(Progress(STAGE, start + length, size, time.monotonic() - began))
        monitor.check()
    return parts
