"""The folder in which weights lie, and the licences that were agreed to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from lipsync.errors import LicenseNotAccepted, ModelCorrupt, ModelMissing
from lipsync.files import file_lock, sha256_of, write_atomic, write_errors
from lipsync.models.catalogue import CATALOGUE, ModelInfo
from lipsync.models.checkpoint import file_errors
from lipsync.models.download import download
from lipsync.monitor import Monitor

AGREED = "licences.json"


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
        with file_lock(self.folder / AGREED, Monitor()):
            agreed = self._agreed() | {name: self.entry(name).licence}
            write_atomic(self.folder / AGREED, json.dumps(agreed, indent=1))

    def fetch(self, name: str, monitor: Monitor) -> Path:
        """Bring the file unless it is here and whole; a damaged one is replaced. Two at once bring it once.

        Raises LicenseNotAccepted, DownloadFailed, DiskFull, OutputUnwritable, Cancelled.
        """
        entry = self.entry(name)
        if not self.accepted(name):
            raise LicenseNotAccepted(
                f"{name}: nobody has agreed to its licence yet; --accept-license does. {entry.licence}"
            )
        if not self._whole(name, monitor):
            with file_lock(self.place(name), monitor):
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
