"""The models folder: downloaded weights, and the licenses that were accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from lipsync.errors import LicenseNotAccepted, ModelCorrupt, ModelMissing
from lipsync.files import file_lock, sha256_of, write_atomic, write_errors
from lipsync.models.catalogue import CATALOGUE, ModelInfo
from lipsync.models.checkpoint import file_errors
from lipsync.monitor import Monitor

LICENSES_FILE = "licenses.json"


def default_folder() -> Path:
    """Return the default models folder, inside the user's data folder."""
    return platformdirs.user_data_path("lipsync", appauthor=False) / "models"


class Store:
    """Downloaded weights by name, in one folder. Only ``fetch`` uses the network."""

    def __init__(self, folder: Path, catalogue: Mapping[str, ModelInfo] = CATALOGUE) -> None:
        self.folder = folder
        self.catalogue = catalogue

    def info(self, name: str) -> ModelInfo:
        """Return the catalogue entry. Raises ModelMissing for an unknown name."""
        if name not in self.catalogue:
            raise ModelMissing(f"unknown model {name!r}: expected one of {', '.join(self.catalogue)}")
        return self.catalogue[name]

    def info_by_sha256(self, sha256: str) -> ModelInfo | None:
        """Return the catalogue entry whose weights are in a file with this checksum."""
        infos = self.catalogue.values()
        return next((info for info in infos if sha256 in (info.sha256, *info.aliases)), None)

    def path_of(self, name: str) -> Path:
        """Return the path of the file, whether or not it exists."""
        return self.folder / self.info(name).file

    def is_present(self, name: str) -> bool:
        """Return whether the file exists in its full size."""
        path = self.path_of(name)
        return path.is_file() and path.stat().st_size == self.info(name).size

    def find(self, name: str) -> Path:
        """Return the path of the downloaded file. Raises ModelMissing."""
        if not self.is_present(name):
            raise ModelMissing(f"model {name!r} is not installed. Run: lipsync models fetch {name}")
        return self.path_of(name)

    def verify(self, name: str, monitor: Monitor) -> None:
        """Compare the file's checksum. Raises ModelMissing, ModelCorrupt, Cancelled."""
        self.find(name)
        if not self._is_intact(name, monitor):
            raise ModelCorrupt(f"{self.path_of(name)}: wrong checksum. Run: lipsync models fetch {name}")

    def is_license_accepted(self, name: str) -> bool:
        """Return whether the license was accepted in its current wording."""
        return self._accepted().get(name) == self.info(name).license

    def accept_license(self, name: str) -> None:
        """Record that the license was accepted."""
        with file_lock(self.folder / LICENSES_FILE, Monitor()):
            accepted = self._accepted() | {name: self.info(name).license}
            write_atomic(self.folder / LICENSES_FILE, json.dumps(accepted, indent=1))

    def fetch(self, name: str, monitor: Monitor) -> Path:
        """Download the file unless it is present and intact. Concurrent calls download it once.

        Raises LicenseNotAccepted, DownloadFailed, DiskFull, OutputUnwritable, Cancelled.
        """
        from lipsync.models.download import download  # its HTTP client takes longer to import than all else here

        info = self.info(name)
        if not self.is_license_accepted(name):
            raise LicenseNotAccepted(f"{name}: license not accepted; use --accept-license. License: {info.license}")
        if not self._is_intact(name, monitor):
            with file_lock(self.path_of(name), monitor):
                if not self._is_intact(name, monitor):  # another process may have downloaded it meanwhile
                    download(info, self.path_of(name), monitor)
        return self.path_of(name)

    def remove(self, name: str) -> bool:
        """Delete the file and any partial download; return whether one existed."""
        path = self.path_of(name)
        files = [file for file in (path, path.with_name(f"{path.name}.part")) if file.exists()]
        for file in files:
            with write_errors(file):
                file.unlink()
        return bool(files)

    def _is_intact(self, name: str, monitor: Monitor) -> bool:
        path = self.path_of(name)
        with file_errors(path):
            return self.is_present(name) and sha256_of(path, monitor) == self.info(name).sha256

    def _accepted(self) -> dict[str, str]:
        path = self.folder / LICENSES_FILE
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:  # damaged: ask again
            return {}
