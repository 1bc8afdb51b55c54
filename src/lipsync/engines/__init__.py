"""The engines by name. A factory imports its engine only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from lipsync.errors import OptionInvalid

if TYPE_CHECKING:
    from lipsync.engines.base import Engine, EngineOptions
    from lipsync.models.session_cache import SessionCache
    from lipsync.monitor import Monitor

WITH_ORIGINAL = ("wav2lip", "wav2lip-gan")
WITH_WEIGHTS = (*WITH_ORIGINAL, "hybrid")


def _rewrite(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.rewrite.engine import Rewrite

    return Rewrite.open(sessions)


def _wav2lip(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.wav2lip import open_engine

    return open_engine("wav2lip", options, sessions, monitor)


def _wav2lip_gan(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.wav2lip import open_engine

    return open_engine("wav2lip-gan", options, sessions, monitor)


def _hybrid(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.hybrid import open_engine

    return open_engine(options, sessions, monitor)


def _passthrough(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.passthrough import Passthrough

    return Passthrough()


ENGINES: Mapping[str, Callable[[EngineOptions, SessionCache, Monitor], Engine]] = MappingProxyType(
    {
        "rewrite": _rewrite,
        "wav2lip": _wav2lip,
        "wav2lip-gan": _wav2lip_gan,
        "hybrid": _hybrid,
        "passthrough": _passthrough,
    }
)


def is_soft(name: str, options: EngineOptions) -> bool:
    """Whether what this engine makes shows less than the footage does, and is not meant to."""
    return name in WITH_ORIGINAL and not options.original


def check_engines(names: Sequence[str], options: EngineOptions) -> None:
    """OptionInvalid unless every engine in ``names`` supports the options."""
    without_original = [name for name in names if name not in WITH_ORIGINAL]
    if options.original and without_original:
        raise OptionInvalid(f"original cannot be combined with the {without_original[0]} engine")
    if options.box is not None and "hybrid" in names:
        raise OptionInvalid("box cannot be combined with the hybrid engine, which has to detect the face")
    without_weights = [name for name in names if name not in WITH_WEIGHTS]
    if options.checkpoint is not None and (without_weights or len(names) > 1):
        raise OptionInvalid(f"checkpoint needs exactly one engine of {', '.join(WITH_WEIGHTS)}")
