"""Convert weights files to ONNX graphs, cached in the models folder by the checksum of the weights file."""

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
from lipsync.models.catalogue import ModelKind
from lipsync.models.checkpoint import file_errors, read_checkpoint
from lipsync.models.onnx_file import is_onnx
from lipsync.models.store import Store
from lipsync.monitor import Monitor, Progress

GRAPHS_FOLDER, RECORD = "graphs", "network.json"


@dataclass(frozen=True, slots=True)
class Converter:
    """Convert the weights of one architecture to ONNX graphs.

    ``name``: of the architecture. ``version``: graphs of another version are converted again. ``graphs``: file names.
    ``read``: return a file's format and weights; raises CheckpointMismatch for another architecture. ``build``: return
    one graph. ``smoke_test``: run the graphs in a folder once; raises CheckpointInvalid. ``key_pattern``: matches a
    tensor name that only this architecture has in PyTorch files.
    """

    name: str
    kind: ModelKind
    version: int
    graphs: tuple[str, ...]
    read: Callable[[Path], tuple[str, Any]]
    build: Callable[[str, Any], bytes]
    smoke_test: Callable[[Path], None]
    key_pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """A model that is ready to run. ``sha256`` and ``format`` are those of the weights file."""

    name: str
    sha256: str
    format: str
    kind: ModelKind
    folder: Path

    def graph(self, name: str) -> Path:
        """Return the path of one graph."""
        return self.folder / name


def folder_of(store: Store, sha256: str) -> Path:
    """Return the folder for the graphs of a weights file, whether or not it exists."""
    return store.folder / GRAPHS_FOLDER / sha256


def kind_of(store: Store, sha256: str) -> str | None:
    """Return the kind of the graphs of a weights file, or None if the file was not converted."""
    record = _record(folder_of(store, sha256))
    return None if record is None else str(record.get("kind"))


def cached(store: Store, sha256: str, name: str, converters: Sequence[Converter]) -> ConvertedModel | None:
    """Return the model if one of these converters converted it and all files are present in their full size."""
    folder = folder_of(store, sha256)
    record = _record(folder)
    converter = None if record is None else _converter_of(record, converters)
    if record is None or converter is None:
        return None
    try:
        sizes = record["files"]
        complete = all((folder / graph).stat().st_size == sizes[graph]["size"] for graph in converter.graphs)
        return ConvertedModel(name, sha256, str(record["format"]), converter.kind, folder) if complete else None
    except (OSError, LookupError, TypeError):  # missing, or not written by this module
        return None


def verify_model(model: ConvertedModel, monitor: Monitor) -> None:
    """Compare the checksums of all graphs. Raises ModelCorrupt, Cancelled."""
    try:
        record = json.loads((model.folder / RECORD).read_text(encoding="utf-8"))
        for graph, facts in record["files"].items():
            if sha256_of(model.folder / graph, monitor) != facts["sha256"]:
                raise ModelCorrupt(f"{model.folder / graph}: wrong checksum. Import or fetch {model.name!r} again")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
        raise ModelCorrupt(f"{model.folder}: damaged. Import or fetch {model.name!r} again") from exc


def convert_once(
    path: Path, sha256: str, store: Store, name: str, converters: Sequence[Converter], monitor: Monitor
) -> ConvertedModel:
    """Convert a weights file unless intact graphs exist. Concurrent calls convert it once.

    Raises CheckpointMismatch if no converter knows the file, other errors of the converters, DiskFull,
    OutputUnwritable, Cancelled.
    """
    with file_lock(folder_of(store, sha256), monitor):
        found = cached(store, sha256, name, converters)
        if found is None or _is_damaged(found, monitor):
            _convert(path, folder_of(store, sha256), converters, monitor)
        model = cached(store, sha256, name, converters)
    if model is None:
        raise ModelCorrupt(f"{folder_of(store, sha256)}: changed by another program during the conversion")
    return model


def delete_graphs(store: Store, sha256: str) -> bool:
    """Delete the graphs of a weights file; return whether they existed."""
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


def _converter_of(record: dict[str, Any], converters: Sequence[Converter]) -> Converter | None:
    """Return the converter that wrote the record, provided that it is still of the same version."""
    key = (record.get("kind"), record.get("network"), record.get("version"))
    return next((item for item in converters if (item.kind, item.name, item.version) == key), None)


def _is_damaged(model: ConvertedModel, monitor: Monitor) -> bool:
    try:
        verify_model(model, monitor)
    except ModelCorrupt:
        return True
    return False


def _convert(path: Path, folder: Path, converters: Sequence[Converter], monitor: Monitor) -> None:
    """Convert in a temporary folder, run the smoke test, then rename the folder into place."""
    temporary = folder.with_name(f"{folder.name}.part")
    with write_errors(temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    start = time.monotonic()
    try:
        converter, record = _write_graphs(path, temporary, converters, monitor, start)
        converter.smoke_test(temporary)
        write_atomic(temporary / RECORD, json.dumps(record, indent=1))
        steps = len(converter.graphs) + 2
        monitor.report(Progress("convert", steps, steps, time.monotonic() - start))
        with write_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(path: Path, converters: Sequence[Converter]) -> tuple[Converter, str, Any]:
    """Read the file with the first converter that knows it. Raises CheckpointMismatch if none does."""
    candidates = _candidates(path, converters) if len(converters) > 1 else converters
    if len(candidates) == 1:
        return candidates[0], *candidates[0].read(path)
    reasons = []
    for converter in converters:
        try:
            return converter, *converter.read(path)
        except CheckpointMismatch as exc:
            reasons.append(f"{converter.name}: {str(exc).removeprefix(f'{path}: ')}")
    raise CheckpointMismatch(f"{path}: unknown architecture. {'; '.join(reasons)}")


def _candidates(path: Path, converters: Sequence[Converter]) -> Sequence[Converter]:
    """Return the converters whose key pattern matches a PyTorch file, so that their own errors are reported."""
    with file_errors(path), path.open("rb") as file:
        if is_onnx(file.read(2)):
            return ()
    names = read_checkpoint(path).tensors
    return [item for item in converters if item.key_pattern and any(map(item.key_pattern.search, names))]


def _write_graphs(
    path: Path, folder: Path, converters: Sequence[Converter], monitor: Monitor, start: float
) -> tuple[Converter, dict[str, object]]:
    """Write all graphs, with one in memory at a time; return the converter and the record."""
    monitor.report(Progress("convert", 0, None, 0.0))
    converter, source_format, weights = _read(path, converters)
    steps = len(converter.graphs) + 2
    files: dict[str, dict[str, object]] = {}
    for graph in converter.graphs:
        monitor.check()
        monitor.report(Progress("convert", len(files) + 1, steps, time.monotonic() - start))
        content = converter.build(graph, weights)
        with write_errors(folder / graph):
            (folder / graph).write_bytes(content)
        files[graph] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    monitor.report(Progress("convert", len(files) + 1, steps, time.monotonic() - start))
    facts = {"version": converter.version, "kind": converter.kind, "network": converter.name, "format": source_format}
    return converter, facts | {"source": path.name, "files": files}
