"""The engines by name. Opening an engine imports its module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lipsync.errors import OptionInvalid
from lipsync.models.catalogue import RESEARCH_ONLY

if TYPE_CHECKING:
    from lipsync.engines.base import Engine, EngineOptions
    from lipsync.models.session_cache import SessionCache
    from lipsync.monitor import Monitor

FREE: Final = "free for any use"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The facts of an engine.

    ``summary``: a clause for help texts that follows the engine's name. ``license``: of the weights. ``open`` may raise
    ModelError, ExtraMissing, OptionInvalid, OutOfMemory and Cancelled. ``frames_per_second``: typical speed at 1280x720
    on two CPU cores. ``has_original``: has the original mode. ``accepts_box``: works with a fixed face box.
    """

    summary: str
    license: str
    open: Callable[[EngineOptions, SessionCache, Monitor], Engine]
    frames_per_second: float
    needs_weights: bool = False
    has_original: bool = False
    accepts_box: bool = False


def _rewrite(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.rewrite.engine import Rewrite

    return Rewrite.open(sessions)


def _wav2lip(name: str, options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.wav2lip import open_engine

    return open_engine(name, options, sessions, monitor)


def _hybrid(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.hybrid import open_engine

    return open_engine(options, sessions, monitor)


def _passthrough(options: EngineOptions, sessions: SessionCache, monitor: Monitor) -> Engine:
    from lipsync.engines.passthrough import Passthrough

    return Passthrough()


ENGINES: Mapping[str, EngineInfo] = MappingProxyType(
    {
        "rewrite": EngineInfo(
            "needs no weights and keeps the video's resolution", FREE, _rewrite, frames_per_second=50.0
        ),
        "wav2lip": EngineInfo(
            "generates a 96x96 mouth",
            RESEARCH_ONLY,
            partial(_wav2lip, "wav2lip"),
            frames_per_second=20.0,
            needs_weights=True,
            has_original=True,
            accepts_box=True,
        ),
        "wav2lip-gan": EngineInfo(
            "generates a sharper 96x96 mouth",
            RESEARCH_ONLY,
            partial(_wav2lip, "wav2lip-gan"),
            frames_per_second=20.0,
            needs_weights=True,
            has_original=True,
            accepts_box=True,
        ),
        "hybrid": EngineInfo(
            "renders the shape of Wav2Lip's mouth at the video's resolution",
            RESEARCH_ONLY,
            _hybrid,
            frames_per_second=20.0,
            needs_weights=True,
        ),
        "passthrough": EngineInfo("changes nothing", FREE, _passthrough, frames_per_second=120.0, accepts_box=True),
    }
)


def check_engines(names: Sequence[str], options: EngineOptions) -> None:
    """Raise OptionInvalid unless every engine in ``names`` supports the options."""
    for name in names:
        if options.original and not ENGINES[name].has_original:
            raise OptionInvalid(f"original cannot be combined with the {name} engine")
        if options.box is not None and not ENGINES[name].accepts_box:
            raise OptionInvalid(f"box cannot be combined with the {name} engine, which has to detect the face")
    if options.checkpoint is not None and not (len(names) == 1 and ENGINES[names[0]].needs_weights):
        usable = ", ".join(name for name, info in ENGINES.items() if info.needs_weights)
        raise OptionInvalid(f"checkpoint needs exactly one engine of {usable}")
