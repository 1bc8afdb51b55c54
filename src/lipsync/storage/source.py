"""Reading the file to publish, with failures mapped to the package's errors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lipsync.errors import FileMissing, FileUnreadable, NotAFile
from lipsync.monitor import Monitor

BLOCK_BYTES = 1 << 20


@contextmanager
def source_errors(path: Path) -> Iterator[None]:
    """Map failures to read a file within the block. Raises FileMissing, NotAFile, FileUnreadable."""
    try:
        yield
    except FileNotFoundError as exc:
        raise FileMissing(f"{path}: no such file") from exc
    except IsADirectoryError as exc:
        raise NotAFile(f"{path}: is a folder") from exc
    except OSError as exc:
        raise FileUnreadable(f"{path}: cannot read: {exc.strerror}") from exc


def open_source(path: Path) -> BinaryIO:
    """Open the file; the caller closes it. Raises FileMissing, NotAFile, FileUnreadable."""
    with source_errors(path):
        return path.open("rb")


def read_blocks(path: Path, monitor: Monitor) -> Iterator[bytes]:
    """Read the file block by block. Raises FileMissing, NotAFile, FileUnreadable, Cancelled."""
    with open_source(path) as file:
        while True:
            monitor.check()
            with source_errors(path):
                block = file.read(BLOCK_BYTES)
            if not block:
                return
            yield block


def size_and_sha256(path: Path, monitor: Monitor) -> tuple[int, str]:
    """Compute the size in bytes and the SHA-256 in hexadecimal. Raises as ``read_blocks``."""
    digest, size = hashlib.sha256(), 0
    for block in read_blocks(path, monitor):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()
