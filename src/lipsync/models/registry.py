"""Networks by name: what people imported, and what was fetched from the catalogue."""

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
from lipsync.models.conversion import Converter, Network, cached, convert_once, discard, kind_of, verify_network
from lipsync.models.store import Store
from lipsync.monitor import Monitor

IMPORTS = "imports"
NAME = re.compile(r"[^\W_][\w.+()-]*")
READY, DOWNLOADED, OUTDATED, ABSENT = "ready", "downloaded", "outdated", "not here"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """What the store knows under one name.

    ``state``: ready to run, downloaded and not yet converted, outdated (converted by another version of this program),
    or not here; ``entry``: the catalogue's, if the weights are known to it.
    """

    name: str
    state: str
    entry: ModelInfo | None
    network: Network | None
    download: Path | None

    @property
    def kind(self) -> str:
        """What it is for: generator, restorer or upscaler; nothing if it has to be imported again to be known."""
        if self.network is not None:
            return self.network.kind
        return "" if self.entry is None else self.entry.kind

    @property
    def size(self) -> int:
        """Bytes: of the published file, or of the graphs that were made of an imported one."""
        if self.entry is not None:
            return self.entry.size
        return sum(file.stat().st_size for file in self.network.folder.iterdir()) if self.network else 0


@dataclass(frozen=True, slots=True)
class _Import:
    """What was recorded of an imported file: its checksum, and where it lay."""

    sha256: str
    source: Path


class ModelRegistry:
    """The networks in a store that some recipes are for. ``reserved``: names that no import may have."""

    def __init__(self, store: Store, recipes: Sequence[Converter], reserved: Collection[str] = ()) -> None:
        self._store, self._recipes, self._reserved = store, recipes, reserved
        self._kinds = {recipe.kind for recipe in recipes}

    def find(self, name: str, monitor: Monitor | None = None) -> Network:
        """The network that was imported under this name, else the fetched one; converted now if it was not yet.

        Raises ModelMissing, ModelCorrupt, CheckpointMismatch if it is of another kind, and what ``convert`` raises.
        """
        monitor, store = monitor or Monitor(), self._store
        recorded = _recorded(store, name)
        if recorded is not None:
            self._check_kind(name, kind_of(store, recorded.sha256))
            return self._cached(recorded.sha256, name) or self._import_again(recorded, name, monitor)
        if name in store.catalogue and store.present(name):
            entry = store.entry(name)
            self._check_kind(name, entry.kind)
            return self._cached(entry.sha256, name) or self._convert_download(name, monitor)
        names = [entry.name for entry in store.catalogue.values() if entry.kind in self._kinds]
        published = name if name in names else "|".join(names)
        raise ModelMissing(
            f"the network {name} is not here: lipsync models fetch {published} --accept-license downloads it, "
            f"lipsync models import FILE --name {name} takes a file of yours"
        )

    def convert(self, path: Path, monitor: Monitor) -> Network:
        """The network of any file of weights, from the store if the same file was converted before.

        Raises ModelMissing, NotAFile, FileUnreadable, NotACheckpoint, CheckpointTruncated, CheckpointRefused,
        CheckpointMismatch, CheckpointInvalid, ExtraMissing, DiskFull, OutputUnwritable, Cancelled.
        """
        with file_errors(path):
            sha256 = sha256_of(path, monitor)
        name = _default_name(path, sha256, self._store)
        self._check_kind(name, kind_of(self._store, sha256))
        return self._cached(sha256, name) or self._convert(path, sha256, name, monitor)

    def import_file(self, path: Path, name: str | None, monitor: Monitor) -> Network:
        """Convert a file and remember it under a name: the given one, that of the catalogue's same weights, or the
        file's.

        Raises OptionInvalid for a name that cannot be one, and what ``convert`` raises.
        """
        store = self._store
        if name is not None:
            self._check_name(name)
        with file_errors(path):
            sha256 = sha256_of(path, monitor)
        name = name or self._check_name(_default_name(path, sha256, store))
        network = self._convert(path, sha256, name, monitor)
        before = _recorded(store, name)
        write_atomic(_record(store, name), json.dumps({"sha256": sha256, "source": str(path.resolve())}, indent=1))
        if before is not None:
            _discard_unused(store, {before.sha256})
        return network

    def items(self) -> list[RegisteredModel]:
        """Everything that the catalogue or an import gave a name to."""
        catalogue = self._store.catalogue
        return [self.item(name) for name in (*catalogue, *sorted(set(_imports(self._store)) - set(catalogue)))]

    def item(self, name: str) -> RegisteredModel:
        """What the store knows under this name. Raises ModelMissing if nobody gave it to anything."""
        store = self._store
        recorded = _recorded(store, name)
        entry = store.known(recorded.sha256) if recorded else store.entry(name)
        download = store.place(name) if name in store.catalogue and store.present(name) else None
        sha256 = recorded.sha256 if recorded else store.entry(name).sha256
        network = self._cached(sha256, name) if recorded or download else None
        if network is not None:
            return RegisteredModel(name, READY, entry, network, download)
        state = OUTDATED if recorded else DOWNLOADED if download else ABSENT
        return RegisteredModel(name, state, entry, None, download)

    def verify(self, item: RegisteredModel, monitor: Monitor) -> None:
        """Read all that is here of it. Raises ModelCorrupt, Cancelled."""
        if item.download is not None:
            self._store.verify(item.name, monitor)
        if item.network is not None:
            verify_network(item.network, monitor)

    def remove(self, name: str) -> None:
        """Delete the download and the import of this name, and the graphs unless another name uses them.

        Raises ModelMissing if there is nothing of that name, OutputUnwritable.
        """
        store = self._store
        recorded = _recorded(store, name)
        checksums = {recorded.sha256} if recorded else set()
        found = recorded is not None
        if recorded is not None:
            with write_errors(_record(store, name)):
                _record(store, name).unlink(missing_ok=True)
        if name in store.catalogue:
            checksums.add(store.entry(name).sha256)
            found = store.remove(name) or found
        found = _discard_unused(store, checksums) or found
        if not found:
            raise ModelMissing(f"there is nothing of the name {name} to remove")

    def _cached(self, sha256: str, name: str) -> Network | None:
        return cached(self._store, sha256, name, self._recipes)

    def _convert(self, path: Path, sha256: str, name: str, monitor: Monitor) -> Network:
        return convert_once(path, sha256, self._store, name, self._recipes, monitor)

    def _import_again(self, recorded: _Import, name: str, monitor: Monitor) -> Network:
        """After a new version of the conversion, or damage: from the file, if it lies where it lay."""
        source = recorded.source
        if not source.is_file() or sha256_of(source, monitor) != recorded.sha256:
            raise ModelMissing(
                f"the network {name} has to be imported again, and {source} is no longer what it was: "
                f"lipsync models import FILE --name {name}"
            )
        return self._convert(source, recorded.sha256, name, monitor)

    def _convert_download(self, name: str, monitor: Monitor) -> Network:
        self._store.verify(name, monitor)
        return self._convert(self._store.place(name), self._store.entry(name).sha256, name, monitor)

    def _check_kind(self, name: str, kind: str | None) -> None:
        if kind is not None and kind not in self._kinds:
            raise CheckpointMismatch(
                f"{name} holds a network of another kind: {kind}, not {', '.join(sorted(self._kinds))}"
            )

    def _check_name(self, name: str) -> str:
        if not NAME.fullmatch(name) or name != name.lower():
            raise OptionInvalid(f"{name} cannot be a network's name; --name gives one of small letters, digits and -")
        if name in self._reserved and name not in self._store.catalogue:
            raise OptionInvalid(f"{name} is the name of something that takes no weights; --name gives another one")
        return name


def _discard_unused(store: Store, checksums: set[str]) -> bool:
    used = {recorded.sha256 for name in _imports(store) if (recorded := _recorded(store, name))}
    used |= {entry.sha256 for name, entry in store.catalogue.items() if store.present(name)}
    discarded = [discard(store, sha256) for sha256 in checksums - used]
    return any(discarded)


def _default_name(path: Path, sha256: str, store: Store) -> str:
    entry = store.known(sha256)
    return entry.name if entry else path.stem.lower().replace("_", "-").replace(" ", "-")


def _imports(store: Store) -> Iterator[str]:
    return (path.stem for path in (store.folder / IMPORTS).glob("*.json"))


def _record(store: Store, name: str) -> Path:
    return store.folder / IMPORTS / f"{name}.json"


def _recorded(store: Store, name: str) -> _Import | None:
    if not NAME.fullmatch(name):
        return None
    try:
        record = json.loads(_record(store, name).read_text(encoding="utf-8"))
        return _Import(str(record["sha256"]), Path(record["source"]))
    except (OSError, ValueError, LookupError, TypeError):  # not there, or not by us
        return None
