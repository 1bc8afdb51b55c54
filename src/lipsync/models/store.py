"""The folder in which weights lie, and the licences that were agreed to."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from lipsync.errors import LicenceNotAccepted, ModelCorrupt, ModelMissing
from lipsync.files import write_errors
from lipsync.models.catalogue import CATALOGUE, ModelInfo
from lipsync.models.checkpoint import file_errors
from lipsync.models.download import download, sha256_of
from lipsync.monitor import Monitor

AGREED = "licences.json"
HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # what a system calls a lock that somebody else has
PAUSE = 0.1  # seconds between two looks at a lock


def default_folder() -> Path:
    """Where weights lie unless somebody says otherwise: the user's own data folder, as the system has it."""
    return platformdirs.user_data_path("lipsync", appauthor=False) / "models"


class Store:
    """Weights by name, in one folder. Looking at them never touches the network; ``fetch`` alone does."""

    def __init__(self, folder: Path, catalogue: Mapping[str, ModelInfo] = CATALOGUE) -> None:
        self.folder = folder
        self.catalogue = catalogue

    def entry(self, name: str) -> ModelInfo:
        """The catalogue's entry; ModelMissing if there is none of that name."""
        if name not in self.catalogue:
            raise ModelMissing(f"there are no weights called {name}; there are {', '.join(self.catalogue)}")
        return self.catalogue[name]

    def known(self, sha256: str) -> ModelInfo | None:
        """The catalogue's entry whose weights a file with this checksum holds."""
        entries = self.catalogue.values()
        return next((entry for entry in entries if sha256 in (entry.sha256, *entry.others)), None)

    def place(self, name: str) -> Path:
        """Where the file lies or would lie."""
        return self.folder / self.entry(name).file

    def present(self, name: str) -> bool:
        """Whether the file is there in its full size."""
        path = self.place(name)
        return path.is_file() and path.stat().st_size == self.entry(name).size

    def find(self, name: str) -> Path:
        """The file, ready to be read. Raises ModelMissing."""
        if not self.present(name):
            raise ModelMissing(f"the weights {name} are not here; lipsync models fetch {name} brings them")
        return self.place(name)

    def verify(self, name: str, monitor: Monitor) -> None:
        """Read the whole file. Raises ModelMissing, ModelCorrupt, Cancelled."""
        self.find(name)
        if not self._whole(name, monitor):
            raise ModelCorrupt(f"{self.place(name)} is not what was published; lipsync models fetch {name} replaces it")

    def accepted(self, name: str) -> bool:
        """Whether somebody agreed to the licence, as it is worded now."""
        return self._agreed().get(name) == self.entry(name).licence

    def accept(self, name: str) -> None:
        """Record that the licence was agreed to."""
        with locked(self.folder / AGREED, Monitor()):
            agreed = self._agreed() | {name: self.entry(name).licence}
            write_whole(self.folder / AGREED, json.dumps(agreed, indent=1))

    def fetch(self, name: str, monitor: Monitor) -> Path:
        """Bring the file unless it is here and whole; a damaged one is replaced. Two at once bring it once.

        Raises LicenceNotAccepted, DownloadFailed, DiskFull, OutputUnwritable, Cancelled.
        """
        entry = self.entry(name)
        if not self.accepted(name):
            raise LicenceNotAccepted(
                f"{name}: nobody has agreed to its licence yet; --accept-license does. {entry.licence}"
            )
        if not self._whole(name, monitor):
            with locked(self.place(name), monitor):
                if not self._whole(name, monitor):  # whoever had the lock may have brought it
                    download(entry, self.place(name), monitor)
        return self.place(name)

    def remove(self, name: str) -> bool:
        """Delete the file and what is left of unfinished downloads; whether there was anything."""
        path = self.place(name)
        found = [file for file in (path, path.with_name(f"{path.name}.part")) if file.exists()]
        for file in found:
            with write_errors(file):
                file.unlink()
        return bool(found)

    def _whole(self, name: str, monitor: Monitor) -> bool:
        path = self.place(name)
        with file_errors(path):
            return self.present(name) and sha256_of(path, monitor) == self.entry(name).sha256

    def _agreed(self) -> dict[str, str]:
        path = self.folder / AGREED
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:  # damaged: ask again
            return {}


def write_whole(path: Path, text: str) -> None:
    """The file with this text, or as it was. Raises DiskFull, OutputUnwritable."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)


@contextmanager
def locked(path: Path, monitor: Monitor) -> Iterator[None]:
    """Keep other processes that ask the same away from ``path``; waits for one that is at it.

    The lock is the system's, on a file beside, so it ends with its process, however that ends. That file stays: whoever
    takes it away lets two in. Raises DiskFull, OutputUnwritable, Cancelled.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("ab")
    with file:
        while not _took(file.fileno()):
            monitor.check()
            time.sleep(PAUSE)
        yield


def _took(descriptor: int) -> bool:
    """Whether the lock is had, or cannot be had by anybody because the file system knows none."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        return exc.errno not in HELD
    return True
