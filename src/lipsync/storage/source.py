"""Reading the file to publish, with failures mapped to the package's errors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lipsync.files import read_errors
from lipsync.monitor import Monitor

BLOCK_BYTES = 1 << 20


def open_source(path: Path) -> BinaryIO:
    """Open the file; the caller closes it. Raises FileMissing, NotAFile, FileUnreadable."""
    with read_errors(path):
        return path.open("rb")


def read_blocks(path: Path, monitor: Monitor) -> Iterator[bytes]:
    """Read the file block by block. Raises FileMissing, NotAFile, FileUnreadable, Cancelled."""
    with open_source(path) as file:
        while True:
            monitor.check()
            with read_errors(path):
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
