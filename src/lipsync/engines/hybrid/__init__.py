"""The engine for those who have Wav2Lip's weights: the generator decides the mouth's shape, the footage shows it."""

from __future__ import annotations

from lipsync.engines.base import Engine, EngineOptions
from lipsync.engines.hybrid.engine import Hybrid
from lipsync.engines.wav2lip import open_generator
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor

WEIGHTS = ("wav2lip-gan", "wav2lip")  # the first that is here


def open_engine(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    """With the weights of ``options.checkpoint``, else of WEIGHTS.

    Raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory, Cancelled.
    """
    generator, batch = open_generator(WEIGHTS, options, sessions, monitor)
    return Hybrid(generator, options, batch, sessions)
