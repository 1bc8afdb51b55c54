"""Locks, atomic writes, checksums and temporary files, with failures mapped to the package's errors."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from lipsync.errors import (
    DiskFull,
    FileMissing,
    FileUnreadable,
    InputTooLarge,
    LipsyncError,
    NotAFile,
    OutputUnwritable,
)
from lipsync.monitor import Monitor, Progress

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOCK_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
LOCK_POLL_INTERVAL = 0.1  # seconds
HASH_BLOCK_BYTES = 1 << 20


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Map failures of a temporary file within the block. Raises DiskFull, OutputUnwritable."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_SPACE:
            raise DiskFull("no space left for temporary files") from exc
        raise OutputUnwritable(f"cannot use temporary files: {os.strerror(exc.errno or 0)}") from exc


@dataclass(frozen=True, slots=True)
class Scratch:
    """The place of temporary files. ``folder``: None: the system's own. ``max_bytes``: of each file; None: any."""

    folder: Path | None = None
    max_bytes: int | None = None

    def open(self) -> IO[bytes]:
        """Open an anonymous temporary file; writing more than ``max_bytes`` raises InputTooLarge.

        Raises DiskFull, OutputUnwritable.
        """
        with scratch_errors():
            if self.max_bytes is None:
                return tempfile.TemporaryFile(dir=self.folder)
            raw = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115 - closed with the file
            return _BoundedFile(cast(io.RawIOBase, raw), self.max_bytes)

    @contextmanager
    def file(self) -> Iterator[IO[bytes]]:
        """Open such a file for the block. Raises DiskFull, OutputUnwritable."""
        file = self.open()
        try:
            yield file
        finally:
            with suppress(OSError):  # unflushed data is dropped
                file.close()


SYSTEM_SCRATCH: Final = Scratch()


class _BoundedFile(io.BufferedRandom):
    def __init__(self, raw: io.RawIOBase, max_bytes: int) -> None:
        super().__init__(raw)
        self._max_bytes, self._written = max_bytes, 0

    def write(self, content: ReadableBuffer) -> int:
        self._written += memoryview(content).nbytes
        if self._written > self._max_bytes:
            limit = f"the limit is {self._max_bytes} (LIPSYNC_MAX_SCRATCH_BYTES)"
            raise InputTooLarge(f"a temporary file would have {self._written} bytes; {limit}")
        return super().write(content)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Map failures to write a file within the block. Raises DiskFull, OutputUnwritable."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_SPACE:
            raise DiskFull(f"{path.parent}: no space left on the device") from exc
        raise OutputUnwritable(f"{path}: cannot write: {exc.strerror}") from exc


@contextmanager
def read_errors(path: Path, missing: type[LipsyncError] = FileMissing) -> Iterator[None]:
    """Map failures to read a file within the block. Raises ``missing``, NotAFile, FileUnreadable."""
    try:
        yield
    except FileNotFoundError as exc:
        raise missing(f"{path}: no such file") from exc
    except IsADirectoryError as exc:
        raise NotAFile(f"{path}: not a file") from exc
    except OSError as exc:
        raise FileUnreadable(f"{path}: cannot read: {exc.strerror}") from exc


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and its parents. Raises DiskFull, OutputUnwritable."""
    with write_errors(folder):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)


def sha256_of(path: Path, monitor: Monitor | None = None) -> str:
    """Compute the SHA-256 of a file, in hexadecimal; report progress as the stage ``check`` if a monitor is given.

    Raises OSError, Cancelled.
    """
    digest = hashlib.sha256()
    start, done, size = time.monotonic(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if monitor is not None:
                monitor.check()
                monitor.report(Progress("check", done, size, time.monotonic() - start))
    return digest.hexdigest()


def write_atomic(path: Path, text: str) -> None:
    """Write a text file aside and rename it into place, so that readers see the old or the new content.

    Raises DiskFull, OutputUnwritable.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)


@contextmanager
def file_lock(path: Path, monitor: Monitor) -> Iterator[None]:
    """Hold an exclusive lock for ``path`` against other processes; wait while another one holds it.

    The lock is on a file beside ``path`` and ends with the process. The lock file is never deleted: deleting it would
    let two processes in. File systems without locks do not lock. Raises DiskFull, OutputUnwritable, Cancelled.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("ab")
    with file:
        with suppress(OSError):
            while not try_lock(file):
                monitor.check()
                time.sleep(LOCK_POLL_INTERVAL)
        yield


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file exclusively; return False if another process or descriptor holds the lock.

    Raises OSError where the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno in LOCK_HELD:
            return False
        raise
    return True
