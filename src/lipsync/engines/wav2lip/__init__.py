"""The classic neural engine, Wav2Lip, with weights that users bring."""

from __future__ import annotations

import os
from pathlib import Path

from lipsync.engines.base import Engine, EngineOptions
from lipsync.engines.wav2lip.engine import Wav2Lip
from lipsync.engines.wav2lip.faithful import FaithfulWav2Lip
from lipsync.engines.wav2lip.install import Network, convert, find_network
from lipsync.engines.wav2lip.network import STREAMS, LipGenerator
from lipsync.errors import ModelMissing
from lipsync.models.networks import Networks
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor

COMPILED = "compiled"  # beside the graphs, and removed with them
PROCESSORS, ON_PROCESSOR, ON_CARD = ("cpu", "onnxruntime"), 4, 16  # frames at once: more are no faster there
SLOW_TO_SET_UP = ("tensorrt", "coreml")  # OpenVINO gains 0.1 s by keeping what it compiled, and takes 130 MB for it


def open_engine(name: str, options: EngineOptions, networks: Networks, monitor: Monitor) -> Engine:
    """The engine with the weights of that name, or those of ``options.checkpoint``.

    Raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory, Cancelled.
    """
    runtime = networks.runtime(options.device, options.precision)
    store = Store(options.models or default_folder())
    network = _network(name, options.checkpoint, store, monitor)
    half = runtime.precision == "fp16"
    files = (network.encoder_half, network.decoder_half) if half else (network.encoder, network.decoder)
    kept = runtime.device in SLOW_TO_SET_UP and os.access(network.folder, os.W_OK)
    cache = network.folder / COMPILED if kept else None
    encoder, decoder = (
        networks.open(file, device=runtime.device, precision=runtime.precision, streams=STREAMS, cache_dir=cache)
        for file in files
    )
    generator = LipGenerator(encoder, decoder)
    batch = options.batch or (ON_PROCESSOR if runtime.device in PROCESSORS else ON_CARD)
    return (FaithfulWav2Lip if options.faithful else Wav2Lip)(generator, options, batch)


def _network(name: str, checkpoint: str | None, store: Store, monitor: Monitor) -> Network:
    if checkpoint is None:
        return find_network(store, name, monitor)
    path = Path(checkpoint)
    if path.is_file():
        return convert(path, store, monitor)
    if path.suffix or path.name != checkpoint:
        raise ModelMissing(f"{path}: no such file")
    return find_network(store, checkpoint, monitor)
