"""Uploads on disk: each in a folder of its own, with what is known of it beside its content.

<folder>/<id>/content       the bytes, as many as have come
<folder>/<id>/upload.json   whose it is, how long it will be, its SHA-256 once it is whole
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

CONTENT, ABOUT = "content", "upload.json"
LEAST = 1 << 20  # bytes that an upload counts for at least, so that a flood of small ones has an end too
PATIENCE = timedelta(hours=24)  # an upload that nobody goes on with is given up after that
ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as it is now. ``length``, ``offset``: bytes; ``length`` None: nobody knows yet. ``owner``: key's id.

    ``metadata``: tus's own, as the client sent it. ``sha256``: once all has come. ``sure``: while a part comes that
    counts whole or not at all, the bytes before it; so it is none after a crash either.
    """

    id: str
    owner: str | None
    length: int | None
    created_at: datetime
    metadata: str = ""
    sha256: str | None = None
    sure: int | None = None
    offset: int = 0
    changed_at: datetime | None = None

    @property
    def whole(self) -> bool:
        return self.sha256 is not None

    @property
    def expires_at(self) -> datetime:
        """When it is given up unless more of it comes."""
        return (self.changed_at or self.created_at) + PATIENCE


class UploadWriter:
    """The place where a part of an upload is written. ``left``: bytes that may still come."""

    def __init__(self, file: FileIO, left: int, digest: str) -> None:
        self._file = file
        self._digest = hashlib.new(digest, usedforsecurity=False)
        self._most = left
        self.left = left

    def take(self, block: bytes) -> None:
        """Write on. Raises Refusal if it is more than was announced or is allowed, DiskFull, OutputUnwritable."""
        if len(block) > self.left:
            raise ApiError("upload_too_large", f"at most {self._most} bytes were expected here")
        rest = memoryview(block)
        with write_errors(Path(str(self._file.name))):
            while rest:
                rest = rest[self._file.write(rest) :]
        self._digest.update(block)
        self.left -= len(block)

    def digest(self) -> bytes:
        """The checksum of this part."""
        return self._digest.digest()

    def settle(self) -> None:
        """On the disk, whatever happens to the machine."""
        with write_errors(Path(str(self._file.name))):
            os.fsync(self._file.fileno())


class UploadStore:
    """All uploads. What is not the caller's own is not there for him: every look-up raises Refusal for it.

    ``most_bytes`` for one upload, ``most_kept`` for all that one owner has, as they were announced.
    """

    def __init__(self, folder: Path, most_bytes: int, most_kept: int) -> None:
        self.folder = folder
        self.most_bytes = min(most_bytes, most_kept)
        self._most_kept = most_kept
        self._turn = threading.Lock()

    def create(self, owner: str | None, length: int | None, now: datetime, metadata: str = "") -> Upload:
        """A place for ``length`` bytes. Raises Refusal if they are too many, DiskFull, OutputUnwritable."""
        if length is not None and length > self.most_bytes:
            raise ApiError("upload_too_large", f"{length} bytes; {self.most_bytes} are allowed")
        upload = Upload(uuid.uuid4().hex, owner, length, now, metadata)
        place = self.folder / upload.id
        # The lock on the disk is for other processes; it is looked at now and then, so threads queue for their own.
        with self._turn, file_lock(self.folder, Monitor()):
            self._check_quota(upload)
            with write_errors(place):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._check_disk(length or 0)
                place.mkdir()
                (place / CONTENT).touch()
            self._note(upload)
        return upload

    def find(self, upload_id: str, owner: str | None, now: datetime) -> Upload:
        """The upload. Raises Refusal if there is none, it is somebody else's, or it was given up."""
        upload = self._read(upload_id) if ID.fullmatch(upload_id) else None
        if upload is None or upload.owner != owner:
            raise ApiError("upload_missing", f"there is no upload {upload_id}")
        if not upload.whole and upload.expires_at <= now:
            raise ApiError(
                "upload_expired", f"nothing more of the upload came until {upload.expires_at:%Y-%m-%d %H:%M} UTC"
            )
        return upload

    @contextmanager
    def writing(
        self, upload: Upload, offset: int, now: datetime, *, digest: str, trusted: bool
    ) -> Iterator[UploadWriter]:
        """Go on with an upload at ``offset``, alone. Raises Refusal if it is elsewhere or somebody else writes.

        Of a part that breaks off, what came is kept if it is ``trusted``, else nothing.
        """
        with self._alone(upload.id):
            upload = self.find(upload.id, upload.owner, now)
            if offset != upload.offset:
                at = {"Upload-Offset": str(upload.offset)}
                raise ApiError("offset_conflict", f"it goes on at byte {upload.offset}, not {offset}", at)
            left = (self.most_bytes if upload.length is None else upload.length) - offset
            self._check_disk(0 if upload.length is None else left)
            with self.path(upload).open("r+b", buffering=0) as file:
                file.truncate(offset)
                self._note(replace(upload, sure=None if trusted else offset))
                file.seek(offset)
                yield UploadWriter(file, left, digest)
            self._note(replace(upload, sure=None))

    def finish(self, upload: Upload, sha256: str | None = None) -> Upload:
        """All of it came: note how much, and its checksum, which is read from the disk unless it is given."""
        content = self.path(upload)
        with write_errors(content):
            size = content.stat().st_size
            sha256 = sha256 or sha256_of(content)
        done = replace(upload, length=size, offset=size, sha256=sha256, sure=None)
        self._note(done)
        return done

    def whole(self, upload_id: str, owner: str | None, now: datetime) -> Upload:
        """An upload that is whole. Raises Refusal if it is not."""
        upload = self.find(upload_id, owner, now)
        if not upload.whole and upload.offset == upload.length:  # its last writer died before the checksum was noted
            with self._alone(upload_id):
                upload = self.find(upload_id, owner, now)
                upload = self.finish(upload) if upload.offset == upload.length else upload
        if not upload.whole:
            raise ApiError("upload_incomplete", f"{upload.offset} of {upload.length} bytes have come")
        return upload

    def keep(self, upload: Upload) -> None:
        """Somebody needs it: it is as old as if it had come now."""
        os.utime(self.path(upload))

    def keep_inputs(self, task: Task) -> None:
        """``keep`` what the task was made from. Raises Refusal if it is gone."""
        for source in (task.video, task.audio):
            if source.kind == "upload":
                try:
                    os.utime(self.folder / source.location)
                except FileNotFoundError:
                    name = source.location.partition("/")[0]
                    raise ApiError("upload_missing", f"the upload {name} of this task is gone") from None

    def path(self, upload: Upload) -> Path:
        """Where the content lies."""
        return self.folder / upload.id / CONTENT

    def remove(self, upload_id: str, owner: str | None, now: datetime) -> None:
        """Throw it away. Raises Refusal if somebody writes to it."""
        self.find(upload_id, owner, now)
        with self._alone(upload_id):
            shutil.rmtree(self.folder / upload_id, ignore_errors=True)

    def discard(self, upload: Upload) -> None:
        """Nothing stays of an upload that nobody else knows yet."""
        shutil.rmtree(self.folder / upload.id, ignore_errors=True)

    def prune(self, now: datetime, keep: timedelta) -> list[str]:
        """Throw away what was given up, and what is whole and older than ``keep``; their ids."""
        return [place.name for place in self._places() if self._old(place, now, keep) and self._cleared(place)]

    def _check_quota(self, new: Upload) -> None:
        kept = sum(self._counted(upload) for upload in self._all() if upload.owner == new.owner)
        if kept + self._counted(new) > self._most_kept:
            told = f"{kept} bytes are kept, {self._most_kept} are allowed; uploads that are not needed can be deleted"
            raise ApiError("uploads_exceeded", told)

    def _counted(self, upload: Upload) -> int:
        return max(LEAST, self.most_bytes if upload.length is None else upload.length)

    def _check_disk(self, size: int) -> None:
        if shutil.disk_usage(self.folder).free < size:
            raise DiskFull(f"there is no room for {size} bytes")

    def _all(self) -> list[Upload]:
        found = [self._read(place.name) for place in self._places()]
        return [upload for upload in found if upload is not None]

    def _places(self) -> list[Path]:
        return [place for place in self.folder.iterdir() if ID.fullmatch(place.name)] if self.folder.is_dir() else []

    def _old(self, place: Path, now: datetime, keep: timedelta) -> bool:
        upload = self._read(place.name)
        if upload is None:  # the process that made it died before it could say what it is, or it is being removed
            with suppress(FileNotFoundError):
                return datetime.fromtimestamp(place.stat().st_mtime, now.tzinfo) + PATIENCE <= now
            return False
        return ((upload.changed_at or upload.created_at) + keep if upload.whole else upload.expires_at) <= now

    def _cleared(self, place: Path) -> bool:
        """Whether it is gone now: not while somebody writes to it."""
        try:
            with self._alone(place.name):
                shutil.rmtree(place, ignore_errors=True)
        except ApiError:
            return False
        return True

    @contextmanager
    def _alone(self, upload_id: str) -> Iterator[None]:
        """No other thread or process writes meanwhile. Raises Refusal at once if one does."""
        impatient = Monitor()
        impatient.cancel()
        try:
            with file_lock(self.folder / upload_id / CONTENT, impatient):
                yield
        except Cancelled as exc:
            raise ApiError("upload_locked", "another request is writing to this upload") from exc

    def _read(self, upload_id: str) -> Upload | None:
        place = self.folder / upload_id
        try:
            told: dict[str, Any] = json.loads((place / ABOUT).read_text("utf-8"))
            state = (place / CONTENT).stat()
        except FileNotFoundError:
            return None
        told["created_at"] = datetime.fromisoformat(told["created_at"])
        changed = datetime.fromtimestamp(state.st_mtime, told["created_at"].tzinfo)
        offset = state.st_size if told["sure"] is None else min(state.st_size, told["sure"])
        return Upload(**told, offset=offset, changed_at=changed)

    def _note(self, upload: Upload) -> None:
        told = asdict(upload) | {"created_at": upload.created_at.isoformat()}
        del told["offset"], told["changed_at"]
        write_atomic(self.folder / upload.id / ABOUT, json.dumps(told))
