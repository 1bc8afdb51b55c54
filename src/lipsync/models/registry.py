"""Models by name: imported files, and downloads from the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lipsync.errors import CheckpointMismatch, ModelMissing, OptionInvalid
from lipsync.files import sha256_of, write_atomic, write_errors
from lipsync.models.catalogue import ModelInfo
from lipsync.models.checkpoint import file_errors
from lipsync.models.conversion import (
    ConvertedModel,
    Converter,
    cached,
    convert_once,
    delete_graphs,
    kind_of,
    verify_model,
)
from lipsync.models.store import Store
from lipsync.monitor import Monitor

IMPORTS_FOLDER = "imports"
NAME = re.compile(r"[^\W_][\w.+()-]*")
READY, DOWNLOADED, OUTDATED, MISSING = "ready", "downloaded", "outdated", "missing"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model in the catalogue or the models folder.

    ``state``: ready to run, downloaded and not yet converted, outdated (converted by another version of lipsync), or
    missing. ``info``: the catalogue entry, if the catalogue has these weights.
    """

    name: str
    state: str
    info: ModelInfo | None
    model: ConvertedModel | None
    download: Path | None

    @property
    def kind(self) -> str:
        """The model's kind (see ``ModelKind``); empty if unknown until the file is imported again."""
        if self.model is not None:
            return self.model.kind
        return "" if self.info is None else self.info.kind

    @property
    def size(self) -> int:
        """Bytes of the published file, or of the graphs of an imported one."""
        if self.info is not None:
            return self.info.size
        return sum(file.stat().st_size for file in self.model.folder.iterdir()) if self.model else 0


@dataclass(frozen=True, slots=True)
class _Import:
    """The record of an imported file: its checksum and its path."""

    sha256: str
    source: Path


class ModelRegistry:
    """The models in a store that ``converters`` can convert. ``reserved``: names that an import must not take."""

    def __init__(self, store: Store, converters: Sequence[Converter], reserved: Collection[str] = ()) -> None:
        self._store, self._converters, self._reserved = store, converters, reserved
        self._kinds = {converter.kind for converter in converters}

    def find(self, name: str, monitor: Monitor | None = None) -> ConvertedModel:
        """Return the model imported under this name, else the downloaded one; convert it if necessary.

        Raises ModelMissing, ModelCorrupt, CheckpointMismatch for a model of another kind, and errors of ``convert``.
        """
        monitor, store = monitor or Monitor(), self._store
        record = _import_record(store, name)
        if record is not None:
            self._check_kind(name, kind_of(store, record.sha256))
            return self._cached(record.sha256, name) or self._import_again(record, name, monitor)
        if name in store.catalogue and store.is_present(name):
            info = store.info(name)
            self._check_kind(name, info.kind)
            return self._cached(info.sha256, name) or self._convert_download(name, monitor)
        published = [info.name for info in store.catalogue.values() if info.kind in self._kinds]
        fetchable = name if name in published else "|".join(published)
        raise ModelMissing(
            f"model {name!r} is not installed. Run: lipsync models fetch {fetchable} --accept-license, "
            f"or import your own file: lipsync models import FILE --name {name}"
        )

    def convert(self, path: Path, monitor: Monitor) -> ConvertedModel:
        """Convert a weights file, unless the same file was converted before.

        Raises ModelMissing, NotAFile, FileUnreadable, NotACheckpoint, CheckpointTruncated, CheckpointRefused,
        CheckpointMismatch, CheckpointInvalid, ExtraMissing, DiskFull, OutputUnwritable, Cancelled.
        """
        with file_errors(path):
            sha256 = sha256_of(path, monitor)
        name = _default_name(path, sha256, self._store)
        self._check_kind(name, kind_of(self._store, sha256))
        return self._cached(sha256, name) or self._convert(path, sha256, name, monitor)

    def import_file(self, path: Path, name: str | None, monitor: Monitor) -> ConvertedModel:
        """Convert a weights file and record its name.

        ``name``: default is the catalogue's name for the same weights, else the file's. Raises OptionInvalid for an
        invalid or reserved name, and errors of ``convert``.
        """
        store = self._store
        if name is not None:
            self._check_name(name)
        with file_errors(path):
            sha256 = sha256_of(path, monitor)
        name = name or self._check_name(_default_name(path, sha256, store))
        model = self._convert(path, sha256, name, monitor)
        previous = _import_record(store, name)
        write_atomic(_record_path(store, name), json.dumps({"sha256": sha256, "source": str(path.resolve())}, indent=1))
        if previous is not None:
            _discard_unused(store, {previous.sha256})
        return model

    def items(self) -> list[RegisteredModel]:
        """Return all models of the catalogue and all imports."""
        catalogue = self._store.catalogue
        return [self.item(name) for name in (*catalogue, *sorted(set(_imports(self._store)) - set(catalogue)))]

    def item(self, name: str) -> RegisteredModel:
        """Return one model. Raises ModelMissing for an unknown name."""
        store = self._store
        record = _import_record(store, name)
        info = store.info_by_sha256(record.sha256) if record else store.info(name)
        download = store.path_of(name) if name in store.catalogue and store.is_present(name) else None
        sha256 = record.sha256 if record else store.info(name).sha256
        model = self._cached(sha256, name) if record or download else None
        if model is not None:
            return RegisteredModel(name, READY, info, model, download)
        state = OUTDATED if record else DOWNLOADED if download else MISSING
        return RegisteredModel(name, state, info, None, download)

    def verify(self, item: RegisteredModel, monitor: Monitor) -> None:
        """Compare the checksums of all files of a model. Raises ModelCorrupt, Cancelled."""
        if item.download is not None:
            self._store.verify(item.name, monitor)
        if item.model is not None:
            verify_model(item.model, monitor)

    def remove(self, name: str) -> None:
        """Delete the download and the import of this name, and the graphs unless another name uses them.

        Raises ModelMissing if neither exists, OutputUnwritable.
        """
        store = self._store
        record = _import_record(store, name)
        checksums = {record.sha256} if record else set()
        found = record is not None
        if record is not None:
            with write_errors(_record_path(store, name)):
                _record_path(store, name).unlink(missing_ok=True)
        if name in store.catalogue:
            checksums.add(store.info(name).sha256)
            found = store.remove(name) or found
        found = _discard_unused(store, checksums) or found
        if not found:
            raise ModelMissing(f"model {name!r} is not installed. List the installed ones: lipsync models list")

    def _cached(self, sha256: str, name: str) -> ConvertedModel | None:
        return cached(self._store, sha256, name, self._converters)

    def _convert(self, path: Path, sha256: str, name: str, monitor: Monitor) -> ConvertedModel:
        return convert_once(path, sha256, self._store, name, self._converters, monitor)

    def _import_again(self, record: _Import, name: str, monitor: Monitor) -> ConvertedModel:
        """Convert an outdated or damaged import from its source file, if that is unchanged."""
        source = record.source
        if not source.is_file() or sha256_of(source, monitor) != record.sha256:
            raise ModelMissing(
                f"model {name!r} has to be imported again, and {source} is missing or has changed. "
                f"Run: lipsync models import FILE --name {name}"
            )
        return self._convert(source, record.sha256, name, monitor)

    def _convert_download(self, name: str, monitor: Monitor) -> ConvertedModel:
        self._store.verify(name, monitor)
        return self._convert(self._store.path_of(name), self._store.info(name).sha256, name, monitor)

    def _check_kind(self, name: str, kind: str | None) -> None:
        if kind is not None and kind not in self._kinds:
            raise CheckpointMismatch(f"model {name!r} is of kind {kind}: expected {' or '.join(sorted(self._kinds))}")

    def _check_name(self, name: str) -> str:
        if not NAME.fullmatch(name) or name != name.lower():
            raise OptionInvalid(
                f"invalid model name {name!r}: use lower-case letters, digits and hyphens; set it with --name"
            )
        if name in self._reserved and name not in self._store.catalogue:
            raise OptionInvalid(f"model name {name!r} is reserved; choose another with --name")
        return name


def _discard_unused(store: Store, checksums: set[str]) -> bool:
    used = {record.sha256 for name in _imports(store) if (record := _import_record(store, name))}
    used |= {info.sha256 for name, info in store.catalogue.items() if store.is_present(name)}
    discarded = [delete_graphs(store, sha256) for sha256 in checksums - used]
    return any(discarded)


def _default_name(path: Path, sha256: str, store: Store) -> str:
    info = store.info_by_sha256(sha256)
    return info.name if info else path.stem.lower().replace("_", "-").replace(" ", "-")


def _imports(store: Store) -> Iterator[str]:
    return (path.stem for path in (store.folder / IMPORTS_FOLDER).glob("*.json"))


def _record_path(store: Store, name: str) -> Path:
    return store.folder / IMPORTS_FOLDER / f"{name}.json"


def _import_record(store: Store, name: str) -> _Import | None:
    if not NAME.fullmatch(name):
        return None
    try:
        record = json.loads(_record_path(store, name).read_text(encoding="utf-8"))
        return _Import(str(record["sha256"]), Path(record["source"]))
    except (OSError, ValueError, LookupError, TypeError):  # missing, or not written by this module
        return None
