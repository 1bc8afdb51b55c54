"""The Wav2Lip engine: the neural generator of Prajwal et al., ACM Multimedia 2020, with checkpoints from the user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from lipsync.engines.base import Engine, EngineOptions
from lipsync.engines.wav2lip.convert import DECODER, DECODER_HALF, ENCODER, ENCODER_HALF, GENERATOR
from lipsync.engines.wav2lip.engine import Wav2Lip
from lipsync.engines.wav2lip.inference import STREAMS, GeneratorRunner
from lipsync.engines.wav2lip.original import OriginalWav2Lip
from lipsync.errors import ModelMissing
from lipsync.models.conversion import ConvertedModel
from lipsync.models.registry import ModelRegistry
from lipsync.models.session_cache import SessionCache
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor

COMPILED: Final = "compiled"  # a folder next to the graphs, deleted with them
CPU_DEVICES: Final = ("cpu", "onnxruntime")
CPU_BATCH, GPU_BATCH = 4, 16  # frames: larger batches are no faster
CACHED_DEVICES: Final = ("tensorrt", "coreml")  # OpenVINO's cache would save 0.1 s and take 130 MB of disk


def open_engine(name: str, options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    """Open the engine with the weights called ``name``, or with ``options.checkpoint``.

    Raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory, Cancelled.
    """
    generator, batch = open_generator((name,), options, sessions, monitor)
    return (OriginalWav2Lip if options.original else Wav2Lip)(generator, options, batch)


def open_generator(
    names: Sequence[str], options: EngineOptions, sessions: SessionCache, monitor: Monitor
) -> tuple[GeneratorRunner, int]:
    """Open the generator with ``options.checkpoint``, or else with the first of ``names`` that is installed.

    Also returns the batch size to use. Raises what ``open_engine`` raises.
    """
    runtime = sessions.runtime(options.device, options.precision)
    registry = ModelRegistry(Store(options.models_dir or default_folder()), (GENERATOR,))
    network = _find_network(names, options.checkpoint, registry, monitor)
    graphs = (ENCODER_HALF, DECODER_HALF) if runtime.precision == "fp16" else (ENCODER, DECODER)
    is_cached = runtime.device in CACHED_DEVICES and os.access(network.folder, os.W_OK)
    encoder, decoder = (
        sessions.open(
            network.graph(graph),
            device=runtime.device,
            precision=runtime.precision,
            streams=STREAMS,
            cache_dir=network.folder / COMPILED if is_cached else None,
        )
        for graph in graphs
    )
    batch = options.batch_size or (CPU_BATCH if runtime.device in CPU_DEVICES else GPU_BATCH)
    return GeneratorRunner(encoder, decoder, (network.name, network.sha256)), batch


def _find_network(
    names: Sequence[str], checkpoint: str | None, registry: ModelRegistry, monitor: Monitor
) -> ConvertedModel:
    if checkpoint is None:
        for name in names if len(names) > 1 else ():
            with suppress(ModelMissing):
                return registry.find(name, monitor)
        return registry.find(names[0], monitor)
    path = Path(checkpoint)
    if path.is_file():
        return registry.convert(path, monitor)
    if path.suffix or path.name != checkpoint:
        raise ModelMissing(f"{path}: no such file")
    return registry.find(checkpoint, monitor)
