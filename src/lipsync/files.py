"""Failures of files that are written, as errors of ours."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lipsync.errors import DiskFull, OutputUnwritable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Around the use of a temporary file. Raises DiskFull, OutputUnwritable."""
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            raise DiskFull("no space is left for temporary files") from exc
        raise OutputUnwritable(f"temporary files cannot be used: {os.strerror(exc.errno or 0)}") from exc


@contextmanager
def scratch_file() -> Iterator[IO[bytes]]:
    """An anonymous temporary file. Raises DiskFull, OutputUnwritable if there cannot be one."""
    with scratch_errors():
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    try:
        yield file
    finally:
        with suppress(OSError):  # what is still to be written is dropped as well
            file.close()


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Around the writing of a file. Raises DiskFull, OutputUnwritable."""
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            raise DiskFull(f"{path.parent}: no space is left there") from exc
        raise OutputUnwritable(f"{path}: cannot be written: {exc.strerror}") from exc


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """The folder and those above it. Raises DiskFull, OutputUnwritable."""
    with write_errors(folder):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
