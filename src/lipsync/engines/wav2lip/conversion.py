"""Converted networks in the store, each in a folder that is named for the checksum of the file it came from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lipsync.engines.wav2lip.generator import Folded, decoder_graph, encoder_graph
from lipsync.engines.wav2lip.smoke import smoke_run
from lipsync.engines.wav2lip.weights import read_weights
from lipsync.errors import ModelCorrupt
from lipsync.media.scratch import write_errors
from lipsync.models.download import sha256_of
from lipsync.models.store import Store, locked, write_whole
from lipsync.monitor import Monitor, Progress

VERSION = 1  # of the conversion; graphs of another one are made anew
FOLDER, RECORD = "graphs", "network.json"
ENCODER, DECODER, ENCODER_HALF, DECODER_HALF = "encoder.onnx", "decoder.onnx", "encoder-half.onnx", "decoder-half.onnx"
GRAPHS: Mapping[str, tuple[Callable[[Folded, bool], bytes], bool]] = MappingProxyType(
    {
        ENCODER: (encoder_graph, False),
        DECODER: (decoder_graph, False),
        ENCODER_HALF: (encoder_graph, True),
        DECODER_HALF: (decoder_graph, True),
    }
)
STEPS = len(GRAPHS) + 2  # reading before them, running after them


@dataclass(frozen=True, slots=True)
class Network:
    """A converted network. ``sha256``: of the file that it came from; ``form``: how that was written."""

    name: str
    sha256: str
    form: str
    folder: Path

    @property
    def encoder(self) -> Path:
        return self.folder / ENCODER

    @property
    def decoder(self) -> Path:
        return self.folder / DECODER

    @property
    def encoder_half(self) -> Path:
        return self.folder / ENCODER_HALF

    @property
    def decoder_half(self) -> Path:
        return self.folder / DECODER_HALF


def folder_of(store: Store, sha256: str) -> Path:
    """Where the graphs of a file with this checksum lie or would lie."""
    return store.folder / FOLDER / sha256


def cached(store: Store, sha256: str, name: str) -> Network | None:
    """The network if it was converted, by this version, and all its files are there in their size."""
    folder = folder_of(store, sha256)
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = all((folder / graph).stat().st_size == record["files"][graph]["size"] for graph in GRAPHS)
        good = record["version"] == VERSION and whole
        return Network(name, sha256, str(record["form"]), folder) if good else None
    except (OSError, ValueError, LookupError, TypeError):  # not there, or not by us
        return None


def verify_network(network: Network, monitor: Monitor) -> None:
    """Read all graphs. Raises ModelCorrupt, Cancelled."""
    try:
        record = json.loads((network.folder / RECORD).read_text(encoding="utf-8"))
        for graph in GRAPHS:
            if sha256_of(network.folder / graph, monitor) != record["files"][graph]["sha256"]:
                raise ModelCorrupt(f"{network.folder / graph} is not what was converted; import or fetch it again")
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ModelCorrupt(f"{network.folder} is damaged; import or fetch {network.name} again") from exc


def convert_once(path: Path, sha256: str, store: Store, name: str, monitor: Monitor) -> Network:
    """The network of this file, from the store if it is there and undamaged. Two at once convert it once.

    Raises what ``read_weights`` and ``smoke_run`` raise, DiskFull, OutputUnwritable, Cancelled.
    """
    with locked(folder_of(store, sha256), monitor):
        found = cached(store, sha256, name)
        if found is None or _damaged(found, monitor):
            _convert(path, folder_of(store, sha256), monitor)
        made = cached(store, sha256, name)
    if made is None:
        raise ModelCorrupt(f"{folder_of(store, sha256)} was changed by somebody else")
    return made


def discard(store: Store, sha256: str) -> bool:
    """Delete the graphs of a file; whether there were any."""
    folder = folder_of(store, sha256)
    if not folder.exists():
        return False
    with locked(folder, Monitor()), write_errors(folder):
        shutil.rmtree(folder)
    return True


def _damaged(network: Network, monitor: Monitor) -> bool:
    try:
        verify_network(network, monitor)
    except ModelCorrupt:
        return True
    return False


def _convert(path: Path, folder: Path, monitor: Monitor) -> None:
    """Made beside its place and moved there when it is whole and has run once."""
    aside = folder.with_name(f"{folder.name}.part")
    with write_errors(aside):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    began = time.monotonic()
    try:
        record = _write_graphs(path, aside, monitor, began)
        smoke_run(*(aside / graph for graph in GRAPHS))
        write_whole(aside / RECORD, json.dumps(record, indent=1))
        monitor.report(Progress("convert", STEPS, STEPS, time.monotonic() - began))
        with write_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_graphs(path: Path, folder: Path, monitor: Monitor, began: float) -> dict[str, object]:
    """All graphs, one in memory at a time. Gives what is recorded of them."""
    monitor.report(Progress("convert", 0, STEPS, 0.0))
    form, folded = read_weights(path)
    files: dict[str, dict[str, object]] = {}
    for graph, (make, half) in GRAPHS.items():
        monitor.check()
        monitor.report(Progress("convert", len(files) + 1, STEPS, time.monotonic() - began))
        content = make(folded, half)
        with write_errors(folder / graph):
            (folder / graph).write_bytes(content)
        files[graph] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    monitor.report(Progress("convert", len(files) + 1, STEPS, time.monotonic() - began))
    return {"version": VERSION, "form": form, "source": path.name, "files": files}
