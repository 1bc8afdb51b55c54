"""The classic neural engine, Wav2Lip, with weights that users bring."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lipsync.engines.base import Engine, EngineOptions
from lipsync.engines.wav2lip.convert import DECODER, DECODER_HALF, ENCODER, ENCODER_HALF, GENERATOR
from lipsync.engines.wav2lip.engine import Wav2Lip
from lipsync.engines.wav2lip.inference import STREAMS, GeneratorRunner
from lipsync.engines.wav2lip.original import OriginalWav2Lip
from lipsync.errors import ModelMissing
from lipsync.models.conversion import Network
from lipsync.models.registry import ModelRegistry
from lipsync.models.session_cache import SessionCache
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor

COMPILED = "compiled"  # beside the graphs, and removed with them
PROCESSORS, ON_PROCESSOR, ON_CARD = ("cpu", "onnxruntime"), 4, 16  # frames at once: more are no faster there
SLOW_TO_SET_UP = ("tensorrt", "coreml")  # OpenVINO gains 0.1 s by keeping what it compiled, and takes 130 MB for it


def open_engine(name: str, options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    """The engine with the weights of that name, or those of ``options.checkpoint``.

    Raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory, Cancelled.
    """
    generator, batch = open_generator((name,), options, sessions, monitor)
    return (OriginalWav2Lip if options.original else Wav2Lip)(generator, options, batch)


def open_generator(
    names: Sequence[str], options: EngineOptions, sessions: SessionCache, monitor: Monitor
) -> tuple[GeneratorRunner, int]:
    """The generator with the weights of ``options.checkpoint``, else of the first of the names that is in the store,
    and how many frames it is to compute at once. Raises what ``open_engine`` raises.
    """
    runtime = sessions.runtime(options.device, options.precision)
    shelf = ModelRegistry(Store(options.models_dir or default_folder()), (GENERATOR,))
    network = _network(names, options.checkpoint, shelf, monitor)
    half = runtime.precision == "fp16"
    files = (ENCODER_HALF, DECODER_HALF) if half else (ENCODER, DECODER)
    kept = runtime.device in SLOW_TO_SET_UP and os.access(network.folder, os.W_OK)
    cache = network.folder / COMPILED if kept else None
    encoder, decoder = (
        sessions.open(
            network.graph(file),
            device=runtime.device,
            precision=runtime.precision,
            streams=STREAMS,
            cache_dir=cache,
        )
        for file in files
    )
    batch = options.batch_size or (ON_PROCESSOR if runtime.device in PROCESSORS else ON_CARD)
    return GeneratorRunner(encoder, decoder, (network.name, network.sha256)), batch


def _network(names: Sequence[str], checkpoint: str | None, shelf: ModelRegistry, monitor: Monitor) -> Network:
    if checkpoint is None:
        for name in names if len(names) > 1 else ():
            with suppress(ModelMissing):
                return shelf.find(name, monitor)
        return shelf.find(names[0], monitor)
    path = Path(checkpoint)
    if path.is_file():
        return shelf.convert(path, monitor)
    if path.suffix or path.name != checkpoint:
        raise ModelMissing(f"{path}: no such file")
    return shelf.find(checkpoint, monitor)
