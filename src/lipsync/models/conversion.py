"""Converted networks in the store, each in a folder that is named for the checksum of the file it came from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import CheckpointMismatch, ModelCorrupt
from lipsync.files import file_lock, sha256_of, write_atomic, write_errors
from lipsync.models.checkpoint import file_errors, read_checkpoint
from lipsync.models.onnx_file import looks_like_onnx
from lipsync.models.store import Store
from lipsync.monitor import Monitor, Progress

FOLDER, RECORD = "graphs", "network.json"
FIRST_KIND = "generator"  # of graphs that were converted before their kind was recorded


@dataclass(frozen=True, slots=True)
class Converter:
    """How files of one network become graphs that run.

    ``name``: the network's, for a person; ``kind``: what it is for; ``version``: graphs of another one are made anew;
    ``graphs``: the files' names. ``read``: a file's form and what is in it; raises CheckpointMismatch if that is
    another network. ``make``: one graph of it. ``smoke``: runs the graphs in a folder once; raises CheckpointInvalid.
    ``mark``: in the names of its tensors alone, as PyTorch's files have them.
    """

    name: str
    kind: str
    version: int
    graphs: tuple[str, ...]
    read: Callable[[Path], tuple[str, Any]]
    make: Callable[[str, Any], bytes]
    smoke: Callable[[Path], None]
    mark: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A converted network. ``sha256``: of the file that it came from; ``form``: how that was written."""

    name: str
    sha256: str
    form: str
    kind: str
    folder: Path

    def graph(self, name: str) -> Path:
        """One of its graphs."""
        return self.folder / name


def folder_of(store: Store, sha256: str) -> Path:
    """Where the graphs of a file with this checksum lie or would lie."""
    return store.folder / FOLDER / sha256


def kind_of(store: Store, sha256: str) -> str | None:
    """What the graphs of a file with this checksum are for; None: there are none."""
    record = _record(folder_of(store, sha256))
    return None if record is None else str(record.get("kind", FIRST_KIND))


def cached(store: Store, sha256: str, name: str, recipes: Sequence[Converter]) -> Network | None:
    """The network if it was converted by one of these recipes, and all its files are there in their size."""
    folder = folder_of(store, sha256)
    record = _record(folder)
    recipe = None if record is None else _recipe_of(record, recipes)
    if record is None or recipe is None:
        return None
    try:
        whole = all((folder / graph).stat().st_size == record["files"][graph]["size"] for graph in recipe.graphs)
        return Network(name, sha256, str(record["form"]), recipe.kind, folder) if whole else None
    except (OSError, LookupError, TypeError):  # not there, or not by us
        return None


def verify_network(network: Network, monitor: Monitor) -> None:
    """Read all graphs. Raises ModelCorrupt, Cancelled."""
    try:
        record = json.loads((network.folder / RECORD).read_text(encoding="utf-8"))
        for graph, told in record["files"].items():
            if sha256_of(network.folder / graph, monitor) != told["sha256"]:
                raise ModelCorrupt(f"{network.folder / graph} is not what was converted; import or fetch it again")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
        raise ModelCorrupt(f"{network.folder} is damaged; import or fetch {network.name} again") from exc


def convert_once(
    path: Path, sha256: str, store: Store, name: str, recipes: Sequence[Converter], monitor: Monitor
) -> Network:
    """The network of this file, from the store if it is there and undamaged. Two at once convert it once.

    Raises what the recipes raise, CheckpointMismatch if it is none of their networks, DiskFull, OutputUnwritable,
    Cancelled.
    """
    with file_lock(folder_of(store, sha256), monitor):
        found = cached(store, sha256, name, recipes)
        if found is None or _damaged(found, monitor):
            _convert(path, folder_of(store, sha256), recipes, monitor)
        made = cached(store, sha256, name, recipes)
    if made is None:
        raise ModelCorrupt(f"{folder_of(store, sha256)} was changed by somebody else")
    return made


def discard(store: Store, sha256: str) -> bool:
    """Delete the graphs of a file; whether there were any."""
    folder = folder_of(store, sha256)
    if not folder.exists():
        return False
    with file_lock(folder, Monitor()), write_errors(folder):
        shutil.rmtree(folder)
    return True


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _recipe_of(record: dict[str, Any], recipes: Sequence[Converter]) -> Converter | None:
    """Which of the recipes made the graphs, if it would make them so today."""
    kind, version = record.get("kind", FIRST_KIND), record.get("version")
    named = [recipe for recipe in recipes if (recipe.kind, recipe.version) == (kind, version)]
    return next((recipe for recipe in named if record.get("network", recipe.name) == recipe.name), None)


def _damaged(network: Network, monitor: Monitor) -> bool:
    try:
        verify_network(network, monitor)
    except ModelCorrupt:
        return True
    return False


def _convert(path: Path, folder: Path, recipes: Sequence[Converter], monitor: Monitor) -> None:
    """Made beside its place and moved there when it is whole and has run once."""
    aside = folder.with_name(f"{folder.name}.part")
    with write_errors(aside):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    began = time.monotonic()
    try:
        recipe, record = _write_graphs(path, aside, recipes, monitor, began)
        recipe.smoke(aside)
        write_atomic(aside / RECORD, json.dumps(record, indent=1))
        steps = len(recipe.graphs) + 2
        monitor.report(Progress("convert", steps, steps, time.monotonic() - began))
        with write_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _read(path: Path, recipes: Sequence[Converter]) -> tuple[Converter, str, Any]:
    """The first recipe that knows what is in the file. Raises what it raises, else CheckpointMismatch."""
    meant = _marked(path, recipes) if len(recipes) > 1 else recipes
    if len(meant) == 1:
        return meant[0], *meant[0].read(path)
    reasons = []
    for recipe in recipes:
        try:
            return recipe, *recipe.read(path)
        except CheckpointMismatch as exc:
            reasons.append(f"{recipe.name}: {str(exc).removeprefix(f'{path}: ')}")
    raise CheckpointMismatch(f"{path}: fits none of the networks that are known. {'; '.join(reasons)}")


def _marked(path: Path, recipes: Sequence[Converter]) -> Sequence[Converter]:
    """The recipes for what a file of PyTorch says that it is, so that they can tell what is wrong with it."""
    with file_errors(path), path.open("rb") as file:
        if looks_like_onnx(file.read(2)):
            return ()
    names = read_checkpoint(path).tensors
    return [recipe for recipe in recipes if recipe.mark and any(map(recipe.mark.search, names))]


def _write_graphs(
    path: Path, folder: Path, recipes: Sequence[Converter], monitor: Monitor, began: float
) -> tuple[Converter, dict[str, object]]:
    """All graphs, one in memory at a time. Gives what is recorded of them."""
    monitor.report(Progress("convert", 0, None, 0.0))
    recipe, form, weights = _read(path, recipes)
    steps = len(recipe.graphs) + 2
    files: dict[str, dict[str, object]] = {}
    for graph in recipe.graphs:
        monitor.check()
        monitor.report(Progress("convert", len(files) + 1, steps, time.monotonic() - began))
        content = recipe.make(graph, weights)
        with write_errors(folder / graph):
            (folder / graph).write_bytes(content)
        files[graph] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    monitor.report(Progress("convert", len(files) + 1, steps, time.monotonic() - began))
    told = {"version": recipe.version, "kind": recipe.kind, "network": recipe.name, "form": form}
    return recipe, told | {"source": path.name, "files": files}
