"""The engines by name. A factory imports its engine only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from lipsync.errors import OptionInvalid

if TYPE_CHECKING:
    from lipsync.engines.base import Engine, EngineOptions
    from lipsync.models.networks import Networks
    from lipsync.monitor import Monitor

WITH_WEIGHTS = ("wav2lip", "wav2lip-gan")


def _rewrite(options: EngineOptions, networks: Networks, monitor: Monitor) -> Engine:
    from lipsync.engines.rewrite.engine import Rewrite

    return Rewrite.open(networks)


def _wav2lip(options: EngineOptions, networks: Networks, monitor: Monitor) -> Engine:
    from lipsync.engines.wav2lip import open_engine

    return open_engine("wav2lip", options, networks, monitor)


def _wav2lip_gan(options: EngineOptions, networks: Networks, monitor: Monitor) -> Engine:
    from lipsync.engines.wav2lip import open_engine

    return open_engine("wav2lip-gan", options, networks, monitor)


def _passthrough(options: EngineOptions, networks: Networks, monitor: Monitor) -> Engine:
    from lipsync.engines.passthrough import Passthrough

    return Passthrough()


ENGINES: Mapping[str, Callable[[EngineOptions, Networks, Monitor], Engine]] = MappingProxyType(
    {"rewrite": _rewrite, "wav2lip": _wav2lip, "wav2lip-gan": _wav2lip_gan, "passthrough": _passthrough}
)


def check_choice(names: Sequence[str], options: EngineOptions) -> None:
    """OptionInvalid unless these engines exist, once each, and can do what the options ask of them."""
    for name in names:
        if name not in ENGINES:
            raise OptionInvalid(f"there is no engine called {name}; there are {', '.join(ENGINES)}")
    if not names or len(set(names)) < len(names):
        raise OptionInvalid("each engine can be asked for once")
    plain = [name for name in names if name not in WITH_WEIGHTS]
    if options.faithful and plain:
        raise OptionInvalid(f"the engine {plain[0]} has no original to be faithful to")
    if options.checkpoint is not None and (plain or len(names) > 1):
        raise OptionInvalid(f"a checkpoint is for one of the engines {', '.join(WITH_WEIGHTS)} alone")
    if options.batch is not None and options.batch < 1:
        raise OptionInvalid(f"a batch of {options.batch} frames is none")
