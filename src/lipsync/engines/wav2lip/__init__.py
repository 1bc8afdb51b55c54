"""The classic neural engine, Wav2Lip, with weights that users bring."""

from __future__ import annotations

from pathlib import Path

from lipsync.engines.base import Engine, EngineOptions
from lipsync.engines.wav2lip.engine import Wav2Lip
from lipsync.engines.wav2lip.faithful import FaithfulWav2Lip
from lipsync.engines.wav2lip.install import Network, convert, find_network
from lipsync.engines.wav2lip.network import STREAMS, LipGenerator
from lipsync.models.session import choose_runtime, open_session
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor


def open_engine(name: str, options: EngineOptions, monitor: Monitor) -> Engine:
    """The engine with the weights of that name, or those of ``options.checkpoint``.

    Raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory, Cancelled.
    """
    runtime = choose_runtime(options.device, options.precision)
    store = Store(options.models or default_folder())
    network = _network(name, options.checkpoint, store, monitor)
    half = runtime.precision == "fp16"
    files = (network.encoder_half, network.decoder_half) if half else (network.encoder, network.decoder)
    encoder, decoder = (
        open_session(file, device=runtime.device, precision=runtime.precision, streams=STREAMS) for file in files
    )
    generator = LipGenerator(encoder, decoder)
    return (FaithfulWav2Lip if options.faithful else Wav2Lip)(generator, options)


def _network(name: str, checkpoint: str | None, store: Store, monitor: Monitor) -> Network:
    if checkpoint is None:
        return find_network(store, name)
    path = Path(checkpoint)
    return convert(path, store, monitor) if path.is_file() else find_network(store, checkpoint)
