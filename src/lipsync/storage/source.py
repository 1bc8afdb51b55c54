"""The file that is to be published: read in blocks, its failures as errors of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lipsync.errors import FileMissing, FileUnreadable, NotAFile
from lipsync.monitor import Monitor

BLOCK = 1 << 20


@contextmanager
def source_errors(path: Path) -> Iterator[None]:
    """Around the reading of a file. Raises FileMissing, NotAFile, FileUnreadable."""
    try:
        yield
    except FileNotFoundError as exc:
        raise FileMissing(f"{path}: no such file") from exc
    except IsADirectoryError as exc:
        raise NotAFile(f"{path}: a folder, not a file") from exc
    except OSError as exc:
        raise FileUnreadable(f"{path}: cannot be read: {exc.strerror}") from exc


def open_source(path: Path) -> BinaryIO:
    """The file, to be closed by the caller. Raises FileMissing, NotAFile, FileUnreadable."""
    with source_errors(path):
        return path.open("rb")


def blocks(path: Path, monitor: Monitor) -> Iterator[bytes]:
    """The file's content. Raises FileMissing, NotAFile, FileUnreadable, Cancelled."""
    with open_source(path) as file:
        while True:
            monitor.check()
            with source_errors(path):
                block = file.read(BLOCK)
            if not block:
                return
            yield block


def measure(path: Path, monitor: Monitor) -> tuple[int, str]:
    """The file's size in bytes and its SHA-256 in hexadecimal. Raises what ``blocks`` raises."""
    digest, size = hashlib.sha256(), 0
    for block in blocks(path, monitor):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()
