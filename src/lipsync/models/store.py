"""The folder in which downloaded weights lie, and the licences that were agreed to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lipsync.errors import LicenceNotAccepted, ModelCorrupt, ModelMissing
from lipsync.media.scratch import scratch_errors
from lipsync.models.catalogue import CATALOGUE, Weights
from lipsync.models.download import download, sha256_of
from lipsync.monitor import Monitor

AGREED = "licences.json"


class Store:
    """Weights by name, in one folder. Looking at them never touches the network; ``fetch`` alone does."""

    def __init__(self, folder: Path, catalogue: Mapping[str, Weights] = CATALOGUE) -> None:
        self._folder = folder
        self._catalogue = catalogue

    def entry(self, name: str) -> Weights:
        """The catalogue's entry; ModelMissing if there is none of that name."""
        if name not in self._catalogue:
            raise ModelMissing(f"there are no weights called {name}; there are {', '.join(self._catalogue)}")
        return self._catalogue[name]

    def place(self, name: str) -> Path:
        """Where the file lies or would lie."""
        return self._folder / self.entry(name).file

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
        if sha256_of(self.find(name), monitor.check) != self.entry(name).sha256:
            raise ModelCorrupt(f"{self.place(name)} is not what was published; lipsync models fetch {name} replaces it")

    def accepted(self, name: str) -> bool:
        """Whether somebody agreed to the licence, as it is worded now."""
        return self._agreed().get(name) == self.entry(name).licence

    def accept(self, name: str) -> None:
        """Record that the licence was agreed to."""
        agreed = self._agreed() | {name: self.entry(name).licence}
        with scratch_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / AGREED).write_text(json.dumps(agreed, indent=1), encoding="utf-8")

    def fetch(self, name: str, monitor: Monitor) -> Path:
        """Bring the file unless it is here and whole; a damaged one is replaced.

        Raises LicenceNotAccepted, DownloadFailed, DiskFull, OutputUnwritable, Cancelled.
        """
        entry = self.entry(name)
        if not self.accepted(name):
            raise LicenceNotAccepted(f"{name}: {entry.licence}. --accept-license agrees")
        if not self.present(name) or sha256_of(self.place(name), monitor.check) != entry.sha256:
            download(entry, self.place(name), monitor)
        return self.place(name)

    def remove(self, name: str) -> bool:
        """Delete the file and what is left of unfinished downloads; whether there was anything."""
        path = self.place(name)
        found = [file for file in (path, path.with_name(f"{path.name}.part")) if file.exists()]
        with scratch_errors():
            for file in found:
                file.unlink()
        return bool(found)

    def _agreed(self) -> dict[str, str]:
        path = self._folder / AGREED
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:  # damaged: ask again
            return {}
