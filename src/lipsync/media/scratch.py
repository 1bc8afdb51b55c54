"""Failures of temporary files, as errors of ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

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
