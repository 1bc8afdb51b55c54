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


def check_choice(names: Sequence[str], options: EngineOptions) -> None:
    """OptionInvalid unless these engines exist, once each, and can do what the options ask of them."""
    for name in names:
        if name not in ENGINES:
            raise OptionInvalid(f"there is no engine called {name}; there are {', '.join(ENGINES)}")
    if not names or len(set(names)) < len(names):
        raise OptionInvalid("each engine can be asked for once")
    own = [name for name in names if name not in WITH_ORIGINAL]
    if options.original and own:
        raise OptionInvalid(f"the engine {own[0]} has no original mode")
    if options.box is not None and "hybrid" in names:
        raise OptionInvalid("the engine hybrid has to see the face, so that a box in its place is of no use to it")
    plain = [name for name in names if name not in WITH_WEIGHTS]
    if options.checkpoint is not None and (plain or len(names) > 1):
        raise OptionInvalid(f"a checkpoint is for one of the engines {', '.join(WITH_WEIGHTS)} alone")
    if options.batch_size is not None and options.batch_size < 1:
        raise OptionInvalid(f"a batch of {options.batch_size} frames is none")
