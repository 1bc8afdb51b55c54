"""Compiled networks in the user's cache folder, so that a process need not compile the bundled networks again.

The cache never fails a job: a folder that cannot be written is not used, and a file that is not as it was written is
replaced. A file starts with the SHA-256 of its content, because the runtime trusts what it loads.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import platformdirs
from numpy.typing import NDArray

MAX_FILES: Final = 12  # the least recently used ones are removed
SUFFIX: Final = ".network"
CHECKSUM_BYTES: Final = 32


def cache_folder() -> Path:
    """Return the folder of compiled networks, inside the user's cache folder."""
    return platformdirs.user_cache_path("lipsync", appauthor=False) / "compiled"


class CompiledCache:
    """Compiled networks by key, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def size(self, key: str) -> int | None:
        """Return the size in bytes of what is kept under the key, None if there is nothing."""
        try:
            size = self._path_of(key).stat().st_size - CHECKSUM_BYTES
        except OSError:
            return None
        return size if size > 0 else None

    def read(self, key: str, target: NDArray[np.uint8]) -> bool:
        """Read what is kept under the key into ``target`` (size,); return False if it is damaged."""
        path = self._path_of(key)
        try:
            with path.open("rb") as file:
                checksum = file.read(CHECKSUM_BYTES)
                count = file.readinto(target.data)
            os.utime(path)
        except OSError:
            return False
        return count == len(target) and hashlib.sha256(target.data).digest() == checksum

    def keep(self, key: str, content: Callable[[], bytes]) -> None:
        """Write the content, unless the folder cannot be written; it is made only if it can."""
        path = self._path_of(key)
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            compiled = content()
            with aside.open("xb") as file:
                file.write(hashlib.sha256(compiled).digest())
                file.write(compiled)
            os.replace(aside, path)
            self._prune()
        except OSError:
            with suppress(OSError):
                aside.unlink(missing_ok=True)

    def discard(self, key: str) -> None:
        """Remove what is kept under the key."""
        with suppress(OSError):
            self._path_of(key).unlink(missing_ok=True)

    def _path_of(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"

    def _prune(self) -> None:
        newest_first = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: -path.stat().st_mtime_ns)
        for path in newest_first[MAX_FILES:]:
            path.unlink(missing_ok=True)
