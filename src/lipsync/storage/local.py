"""A folder on this machine; the API serves it through signed links that expire."""

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
from lipsync.storage.address import is_server
from lipsync.storage.base import BASE_URL, FOLDER, LIFETIME, SECRET, STAGE, LocalOptions, Stored
from lipsync.storage.keys import check_key
from lipsync.storage.signing import sign
from lipsync.storage.source import blocks

ASIDE = ".incoming"  # hidden, so that no key can name it
SHORTEST_SECRET = 16
TRIES = 8  # of renaming into a folder that somebody else keeps emptying and taking away


class LocalStorage:
    """Files under one folder. A crashed writer's leavings are taken away by the next one that writes."""

    def __init__(self, options: LocalOptions, now: Callable[[], float] = time.time) -> None:
        self._options = options
        self._root = options.folder.absolute()
        self._now = now

    @classmethod
    def open(cls, options: LocalOptions) -> LocalStorage:
        """Raises SettingInvalid, which names the setting. Touches nothing on the disk yet."""
        if not is_server(options.base_url):
            raise SettingInvalid(f"{BASE_URL} is not set to an address, like https://example.org")
        if len(options.secret) < SHORTEST_SECRET:
            raise SettingInvalid(f"{SECRET} is not set, or shorter than {SHORTEST_SECRET} characters: it signs links")
        if options.lifetime < 1:
            raise SettingInvalid(f"{LIFETIME} is {options.lifetime} seconds; a link is good for one or more")
        return cls(options)

    def check(self) -> None:
        """Write and take away a file. Raises SettingInvalid, StorageFailed."""
        try:
            self._sweep()
            with self._aside() as (file, _):
                file.write(b"checked")
                file.flush()
        except OSError as exc:
            if exc.errno in (*NO_SPACE, errno.EIO, errno.ESTALE):
                raise StorageFailed(f"{self._root} cannot be written to: {exc.strerror}") from exc
            raise SettingInvalid(f"{FOLDER}: {self._root} cannot be written to: {exc.strerror}") from exc

    def put(self, path: Path, key: str, content_type: str, monitor: Monitor) -> Stored:
        """See ``Storage.put``. The type of the content is the API's to tell, from the key's suffix."""
        target = self.path(key)
        with write_errors(target):
            self._sweep()
        with ExitStack() as stack:
            with write_errors(target):
                file, aside = stack.enter_context(self._aside())
            size, sha256 = _copy(path, file, target, monitor)
            with write_errors(target):
                _publish(aside, target, self._root)
        return Stored(key, self.url(key), size, sha256)

    def url(self, key: str) -> str:
        """See ``Storage.url``: ``BASE/v1/files/KEY?expires=SECONDS&signature=HEX``."""
        expires = int(self._now()) + self._options.lifetime
        signature = sign(check_key(key), expires, self._options.secret)
        return f"{self._options.base_url.rstrip('/')}/v1/files/{quote(key)}?expires={expires}&signature={signature}"

    def delete(self, key: str) -> None:
        """See ``Storage.delete``. Folders that it leaves empty go too."""
        path = self.path(key)
        with write_errors(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            _sync(path.parent)
            for folder in path.parents:
                if folder == self._root or not _emptied(folder):
                    break

    def path(self, key: str) -> Path:
        """Where the file lies or would lie, always inside the folder. Raises OptionInvalid for every other key."""
        place = self._root / check_key(key)
        try:
            inside = place.resolve().is_relative_to(self._root.resolve())
        except (OSError, RuntimeError) as exc:  # links in a circle
            raise OptionInvalid(f"{key!r} is no key of a published file") from exc
        if not inside:
            raise OptionInvalid(f"{key!r} leads out of the folder where results are")
        return place

    def close(self) -> None:
        """Nothing is open between two calls."""

    @contextmanager
    def _aside(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new locked file on the same disk; it is gone afterwards unless it was renamed. Raises OSError."""
        folder = self._root / ASIDE
        folder.mkdir(parents=True, exist_ok=True)
        file, path = _new_locked(folder)
        try:
            yield file, path
        finally:
            with suppress(OSError):  # whatever stays, the next sweep takes
                path.unlink(missing_ok=True)
            with suppress(OSError):  # what is still to be written is dropped as well
                file.close()

    def _sweep(self) -> None:
        """Take away what writers that died have left: files whose lock, which ends with its process, is free."""
        folder = self._root / ASIDE
        for path in folder.iterdir() if folder.is_dir() else ():
            with suppress(OSError), path.open("rb") as file:  # somebody else's file is no reason not to publish
                if try_lock(file):
                    path.unlink()


def _new_locked(folder: Path) -> tuple[BinaryIO, Path]:
    """Between the making and the locking another writer may sweep the file away; then another one is made."""
    while True:
        path = folder / uuid.uuid4().hex
        file = path.open("xb")
        try:
            if try_lock(file) and path.exists():
                return file, path
        except OSError:  # a file system without locks; nobody sweeps there
            return file, path
        file.close()
        path.unlink(missing_ok=True)


def _copy(source: Path, file: BinaryIO, target: Path, monitor: Monitor) -> tuple[int, str]:
    """Size in bytes and SHA-256; the copy is on the disk, not only in the cache, afterwards."""
    began, done, digest, total = time.monotonic(), 0, hashlib.sha256(), None
    for block in blocks(source, monitor):
        total = total or source.stat().st_size
        with write_errors(target):
            file.write(block)
        digest.update(block)
        done += len(block)
        monitor.report(Progress(STAGE, done, max(total, done), time.monotonic() - began))
    monitor.check()
    with write_errors(target):
        file.flush()
        os.fsync(file.fileno())
    return done, digest.hexdigest()


def _publish(aside: Path, target: Path, root: Path) -> None:
    for attempt in range(TRIES):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(aside, target)
            break
        except FileNotFoundError:  # a deletion took the folder, empty for a moment, away
            if attempt == TRIES - 1:
                raise
    for folder in target.parents:  # the new folders' own entries too
        _sync(folder)
        if folder == root:
            break


def _sync(folder: Path) -> None:
    """Make the entries of a folder last through a loss of power."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _emptied(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # not empty
        return False
    return True
