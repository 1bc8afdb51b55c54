"""The hybrid engine: the Wav2Lip generator decides the mouth's shape, the video's own pixels show it."""

from __future__ import annotations

from typing import Final

from lipsync.engines.base import Engine, EngineOptions
from lipsync.engines.hybrid.engine import Hybrid
from lipsync.engines.wav2lip import open_generator
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor

WEIGHTS: Final = ("wav2lip-gan", "wav2lip")  # in order of preference


def open_engine(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    """Open the engine with ``options.checkpoint``, or else with the first of WEIGHTS that is installed.

    Raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory, Cancelled.
    """
    generator, batch = open_generator(WEIGHTS, options, sessions, monitor)
    return Hybrid(generator, options, batch, sessions)
