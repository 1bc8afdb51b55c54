"""Local storage: a folder that the API serves through signed links that expire."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from lipsync.errors import OptionInvalid, SettingInvalid, StorageFailed
from lipsync.files import NO_SPACE, try_lock, write_errors
from lipsync.monitor import Monitor, Progress
from lipsync.storage.address import is_base_url
from lipsync.storage.base import BASE_URL, FOLDER, LIFETIME, SECRET, STAGE, LocalOptions, Stored
from lipsync.storage.keys import check_key
from lipsync.storage.signing import sign_link
from lipsync.storage.source import read_blocks

INCOMING = ".incoming"  # hidden, so no key can name it
MIN_SECRET_CHARS = 16
MAX_ATTEMPTS = 8  # at renaming into a folder that concurrent deletions remove


class LocalStorage:
    """Files in one folder. Each writer removes the remains of crashed ones."""

    def __init__(self, options: LocalOptions, now: Callable[[], float] = time.time) -> None:
        self._options = options
        self._root = options.folder.absolute()
        self._now = now

    @classmethod
    def open(cls, options: LocalOptions) -> LocalStorage:
        """Validate the options without accessing the disk. Raises SettingInvalid, which names the setting."""
        if not is_base_url(options.base_url):
            raise SettingInvalid(f"{BASE_URL} is not a valid URL; expected for example https://example.org")
        if len(options.secret) < MIN_SECRET_CHARS:
            raise SettingInvalid(f"{SECRET} must have at least {MIN_SECRET_CHARS} characters")
        if options.lifetime < 1:
            raise SettingInvalid(f"{LIFETIME} must be at least 1 second, not {options.lifetime}")
        return cls(options)

    def check(self) -> None:
        """Write and delete a file. Raises SettingInvalid, StorageFailed."""
        try:
            self._remove_orphans()
            with self._temporary_file() as (file, _):
                file.write(b"checked")
                file.flush()
        except OSError as exc:
            if exc.errno in (*NO_SPACE, errno.EIO, errno.ESTALE):
                raise StorageFailed(f"cannot write to {self._root}: {exc.strerror}") from exc
            raise SettingInvalid(f"{FOLDER}: cannot write to {self._root}: {exc.strerror}") from exc

    def put(self, path: Path, key: str, content_type: str, monitor: Monitor) -> Stored:
        """See ``Storage.put``. The API derives the content type from the key's suffix."""
        target = self.path(key)
        with write_errors(target):
            self._remove_orphans()
        with ExitStack() as stack:
            with write_errors(target):
                file, temporary = stack.enter_context(self._temporary_file())
            size, sha256 = _copy(path, file, target, monitor)
            with write_errors(target):
                _publish(temporary, target, self._root)
        return Stored(key, self.url(key), size, sha256)

    def url(self, key: str) -> str:
        """See ``Storage.url``: ``BASE/v1/files/KEY?expires=SECONDS&signature=HEX``."""
        expires = int(self._now()) + self._options.lifetime
        signature = sign_link(check_key(key), expires, self._options.secret)
        return f"{self._options.base_url.rstrip('/')}/v1/files/{quote(key)}?expires={expires}&signature={signature}"

    def delete(self, key: str) -> None:
        """See ``Storage.delete``. Deletes emptied folders as well."""
        path = self.path(key)
        with write_errors(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            _sync(path.parent)
            for folder in path.parents:
                if folder == self._root or not _remove_if_empty(folder):
                    break

    def path(self, key: str) -> Path:
        """Return the path for a key, always inside the folder. Raises OptionInvalid for any other key."""
        path = self._root / check_key(key)
        try:
            inside = path.resolve().is_relative_to(self._root.resolve())
        except (OSError, RuntimeError) as exc:  # circular symbolic links
            raise OptionInvalid(f"invalid key {key!r}") from exc
        if not inside:
            raise OptionInvalid(f"key {key!r} points outside the results folder")
        return path

    def close(self) -> None:
        """Do nothing: no file stays open between calls."""

    @contextmanager
    def _temporary_file(self) -> Iterator[tuple[BinaryIO, Path]]:
        """Create a locked file on the same disk, deleted on leaving unless renamed. Raises OSError."""
        folder = self._root / INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        file, path = _new_locked(folder)
        try:
            yield file, path
        finally:
            with suppress(OSError):  # the next writer removes the remains
                path.unlink(missing_ok=True)
            with suppress(OSError):  # unflushed data is dropped
                file.close()

    def _remove_orphans(self) -> None:
        """Delete files of crashed writers: a lock ends with its process, so theirs is free."""
        folder = self._root / INCOMING
        for path in folder.iterdir() if folder.is_dir() else ():
            with suppress(OSError), path.open("rb") as file:  # files of other users must not prevent publishing
                if try_lock(file):
                    path.unlink()


def _new_locked(folder: Path) -> tuple[BinaryIO, Path]:
    """Create and lock a file; start over if another writer deletes it before it is locked."""
    while True:
        path = folder / uuid.uuid4().hex
        file = path.open("xb")
        try:
            if try_lock(file) and path.exists():
                return file, path
        except OSError:  # a file system without locks, where orphans stay
            return file, path
        file.close()
        path.unlink(missing_ok=True)


def _copy(source: Path, file: BinaryIO, target: Path, monitor: Monitor) -> tuple[int, str]:
    """Copy and sync to disk; return the size in bytes and the SHA-256 in hexadecimal."""
    start, done, digest, total = time.monotonic(), 0, hashlib.sha256(), None
    for block in read_blocks(source, monitor):
        total = total or source.stat().st_size
        with write_errors(target):
            file.write(block)
        digest.update(block)
        done += len(block)
        monitor.report(Progress(STAGE, done, max(total, done), time.monotonic() - start))
    monitor.check()
    with write_errors(target):
        file.flush()
        os.fsync(file.fileno())
    return done, digest.hexdigest()


def _publish(temporary: Path, target: Path, root: Path) -> None:
    for attempt in range(MAX_ATTEMPTS):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(temporary, target)
            break
        except FileNotFoundError:  # a concurrent deletion removed the folder, which was empty for a moment
            if attempt == MAX_ATTEMPTS - 1:
                raise
    for folder in target.parents:  # the entries of new folders as well
        _sync(folder)
        if folder == root:
            break


def _sync(folder: Path) -> None:
    """Sync a folder, so that its entries survive a power failure."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # not empty
        return False
    return True
