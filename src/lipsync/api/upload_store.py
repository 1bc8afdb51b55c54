"""Uploads on disk. Each has a directory with its content and a metadata file.

<folder>/<id>/content       the bytes received so far
<folder>/<id>/upload.json   owner, announced length, and SHA-256 once the upload is complete
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any

from lipsync.api.errors import ApiError
from lipsync.errors import Cancelled, DiskFull
from lipsync.files import file_lock, sha256_of, write_atomic, write_errors
from lipsync.monitor import Monitor
from lipsync.tasks.task import Task

CONTENT, METADATA = "content", "upload.json"
MIN_COUNTED_BYTES = 1 << 20  # each upload counts for at least this much, which limits the number of small ones
INCOMPLETE_TIMEOUT = timedelta(hours=24)  # an incomplete upload expires this long after its last byte
UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload at one moment. ``length`` and ``offset`` are in bytes; ``owner`` is the ID of the API key.

    ``length`` is None until it is known. ``metadata`` is the client's tus header. ``sha256`` is set once the upload is
    complete. ``committed`` is the number of valid bytes while a checksummed part is being written: if the process
    crashes, the bytes after it are discarded.
    """

    id: str
    owner: str | None
    length: int | None
    created_at: datetime
    metadata: str = ""
    sha256: str | None = None
    committed: int | None = None
    offset: int = 0
    changed_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        return self.sha256 is not None

    @property
    def expires_at(self) -> datetime:
        """When the upload expires unless more bytes arrive."""
        return (self.changed_at or self.created_at) + INCOMPLETE_TIMEOUT


class UploadWriter:
    """Writes one part of an upload. ``remaining`` is the number of bytes still expected."""

    def __init__(self, file: FileIO, remaining: int, digest: str) -> None:
        self._file = file
        self._digest = hashlib.new(digest, usedforsecurity=False)
        self._limit = remaining
        self.remaining = remaining

    def write(self, block: bytes) -> None:
        """Append a block. Raises ApiError if it exceeds the expected length, DiskFull, OutputUnwritable."""
        if len(block) > self.remaining:
            raise ApiError("upload_too_large", f"the request body is too long: expected at most {self._limit} bytes")
        rest = memoryview(block)
        with write_errors(Path(str(self._file.name))):
            while rest:
                rest = rest[self._file.write(rest) :]
        self._digest.update(block)
        self.remaining -= len(block)

    def digest(self) -> bytes:
        """Return the checksum of this part."""
        return self._digest.digest()

    def fsync(self) -> None:
        """Flush the part to the disk. Raises DiskFull, OutputUnwritable."""
        with write_errors(Path(str(self._file.name))):
            os.fsync(self._file.fileno())


class UploadStore:
    """All uploads. Each lookup names the owner and raises ApiError for the uploads of other owners.

    ``max_bytes`` limits one upload, ``quota_bytes`` the announced lengths of all uploads of one owner.
    """

    def __init__(self, folder: Path, max_bytes: int, quota_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = min(max_bytes, quota_bytes)
        self._quota_bytes = quota_bytes
        self._create_lock = threading.Lock()

    def create(self, owner: str | None, length: int | None, now: datetime, metadata: str = "") -> Upload:
        """Start an upload of ``length`` bytes. Raises ApiError if it exceeds a limit, DiskFull, OutputUnwritable."""
        if length is not None and length > self.max_bytes:
            raise ApiError("upload_too_large", f"the upload has {length} bytes; at most {self.max_bytes} are allowed")
        upload = Upload(uuid.uuid4().hex, owner, length, now, metadata)
        folder = self.folder / upload.id
        # The file lock excludes other processes. It polls, so the threads of this process queue for a lock in memory.
        with self._create_lock, file_lock(self.folder, Monitor()):
            self._check_quota(upload)
            with write_errors(folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._check_disk(length or 0)
                folder.mkdir()
                (folder / CONTENT).touch()
            self._save(upload)
        return upload

    def find(self, upload_id: str, owner: str | None, now: datetime) -> Upload:
        """Return the upload. Raises ApiError if it does not exist, has another owner, or has expired."""
        upload = self._load(upload_id) if UPLOAD_ID.fullmatch(upload_id) else None
        if upload is None or upload.owner != owner:
            raise ApiError("upload_missing", f"upload {upload_id} does not exist")
        if not upload.is_complete and upload.expires_at <= now:
            raise ApiError("upload_expired", f"the upload expired at {upload.expires_at:%Y-%m-%d %H:%M} UTC")
        return upload

    @contextmanager
    def writing(
        self, upload: Upload, offset: int, now: datetime, *, digest: str, keep_partial: bool
    ) -> Iterator[UploadWriter]:
        """Continue an upload at ``offset`` under an exclusive lock. Raises ApiError on a wrong offset or if locked.

        If the request breaks off, the received bytes stay if ``keep_partial``, and are discarded otherwise.
        """
        with self._exclusive(upload.id):
            upload = self.find(upload.id, upload.owner, now)
            if offset != upload.offset:
                detail = f"wrong Upload-Offset {offset}: the upload continues at byte {upload.offset}"
                raise ApiError("offset_conflict", detail, {"Upload-Offset": str(upload.offset)})
            remaining = (self.max_bytes if upload.length is None else upload.length) - offset
            self._check_disk(0 if upload.length is None else remaining)
            with self.path(upload).open("r+b", buffering=0) as file:
                file.truncate(offset)
                self._save(replace(upload, committed=None if keep_partial else offset))
                file.seek(offset)
                yield UploadWriter(file, remaining, digest)
            self._save(replace(upload, committed=None))

    def finish(self, upload: Upload, sha256: str | None = None) -> Upload:
        """Mark the upload complete. Its checksum is computed from the disk unless given."""
        content = self.path(upload)
        with write_errors(content):
            size = content.stat().st_size
            sha256 = sha256 or sha256_of(content)
        complete = replace(upload, length=size, offset=size, sha256=sha256, committed=None)
        self._save(complete)
        return complete

    def get_complete(self, upload_id: str, owner: str | None, now: datetime) -> Upload:
        """Return a complete upload. Raises ApiError if it is incomplete or cannot be found."""
        upload = self.find(upload_id, owner, now)
        if (
            not upload.is_complete and upload.offset == upload.length
        ):  # the writer crashed before the checksum was saved
            with self._exclusive(upload_id):
                upload = self.find(upload_id, owner, now)
                upload = self.finish(upload) if upload.offset == upload.length else upload
        if not upload.is_complete:
            raise ApiError("upload_incomplete", f"{upload.offset} of {upload.length} bytes have been received")
        return upload

    def touch(self, upload: Upload) -> None:
        """Restart the retention period of an upload."""
        os.utime(self.path(upload))

    def touch_inputs(self, task: Task) -> None:
        """Restart the retention period of a task's uploads. Raises ApiError if one has been deleted."""
        for source in task.inputs.values():
            if source.kind == "upload":
                try:
                    os.utime(self.folder / source.location)
                except FileNotFoundError:
                    upload_id = source.location.partition("/")[0]
                    raise ApiError("upload_missing", f"the task's upload {upload_id} was deleted") from None

    def path(self, upload: Upload) -> Path:
        """Return the path of the content."""
        return self.folder / upload.id / CONTENT

    def remove(self, upload_id: str, owner: str | None, now: datetime) -> None:
        """Delete an upload. Raises ApiError if another request is writing to it."""
        self.find(upload_id, owner, now)
        with self._exclusive(upload_id):
            shutil.rmtree(self.folder / upload_id, ignore_errors=True)

    def discard(self, upload: Upload) -> None:
        """Delete an upload whose ID no client knows yet."""
        shutil.rmtree(self.folder / upload.id, ignore_errors=True)

    def prune(self, now: datetime, retention: timedelta) -> list[str]:
        """Delete expired uploads, and complete ones older than ``retention``; return their IDs."""
        return [
            folder.name
            for folder in self._folders()
            if self._is_expired(folder, now, retention) and self._remove_if_idle(folder)
        ]

    def _check_quota(self, new: Upload) -> None:
        stored = sum(self._counted_bytes(upload) for upload in self._all() if upload.owner == new.owner)
        if stored + self._counted_bytes(new) > self._quota_bytes:
            detail = f"the upload would exceed this key's quota: {stored} of {self._quota_bytes} bytes are in use"
            raise ApiError("uploads_exceeded", detail)

    def _counted_bytes(self, upload: Upload) -> int:
        return max(MIN_COUNTED_BYTES, self.max_bytes if upload.length is None else upload.length)

    def _check_disk(self, size: int) -> None:
        if shutil.disk_usage(self.folder).free < size:
            raise DiskFull(f"not enough disk space for an upload of {size} bytes")

    def _all(self) -> list[Upload]:
        uploads = [self._load(folder.name) for folder in self._folders()]
        return [upload for upload in uploads if upload is not None]

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [folder for folder in self.folder.iterdir() if UPLOAD_ID.fullmatch(folder.name)]

    def _is_expired(self, folder: Path, now: datetime, retention: timedelta) -> bool:
        upload = self._load(folder.name)
        if upload is None:  # its process crashed before it saved the metadata, or the upload is being removed
            with suppress(FileNotFoundError):
                return datetime.fromtimestamp(folder.stat().st_mtime, now.tzinfo) + INCOMPLETE_TIMEOUT <= now
            return False
        if upload.is_complete:
            return (upload.changed_at or upload.created_at) + retention <= now
        return upload.expires_at <= now

    def _remove_if_idle(self, folder: Path) -> bool:
        """Remove the upload unless a request is writing to it; return whether it was removed."""
        try:
            with self._exclusive(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        except ApiError:
            return False
        return True

    @contextmanager
    def _exclusive(self, upload_id: str) -> Iterator[None]:
        """Exclude other threads and processes. Raises ApiError at once if one holds the lock."""
        no_wait = Monitor()
        no_wait.cancel()
        try:
            with file_lock(self.folder / upload_id / CONTENT, no_wait):
                yield
        except Cancelled as exc:
            raise ApiError("upload_locked", "another request is writing to this upload; retry later") from exc

    def _load(self, upload_id: str) -> Upload | None:
        folder = self.folder / upload_id
        try:
            saved: dict[str, Any] = json.loads((folder / METADATA).read_text("utf-8"))
            stat = (folder / CONTENT).stat()
        except FileNotFoundError:
            return None
        saved["created_at"] = datetime.fromisoformat(saved["created_at"])
        if "sure" in saved:  # the field's name before it was called committed
            saved["committed"] = saved.pop("sure")
        changed = datetime.fromtimestamp(stat.st_mtime, saved["created_at"].tzinfo)
        offset = stat.st_size if saved["committed"] is None else min(stat.st_size, saved["committed"])
        return Upload(**saved, offset=offset, changed_at=changed)

    def _save(self, upload: Upload) -> None:
        fields = asdict(upload) | {"created_at": upload.created_at.isoformat()}
        del fields["offset"], fields["changed_at"]
        write_atomic(self.folder / upload.id / METADATA, json.dumps(fields))
