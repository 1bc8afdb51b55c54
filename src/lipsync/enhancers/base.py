"""The ports of the enhancers, which sharpen or enlarge frames after an engine has replaced the mouth."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.models.session import RunInfo
from lipsync.types import Frame

if TYPE_CHECKING:
    from lipsync.models.session_cache import SessionCache
    from lipsync.monitor import Monitor


@dataclass(frozen=True, slots=True)
class EnhancerOptions:
    """The options of the enhancers; each uses those that apply to it.

    ``strength`` 0..1: blend of the enhanced over the original. ``fidelity`` 0..1: for CodeFormer, 1 = closest to the
    input, 0 = highest quality. ``device``, ``precision``: see ``models.devices.choose_runtime``; upscalers from ncnn
    packages also run on "ncnn" and "vulkan". ``tile``: side of a tile in pixels; None: chosen for the device.
    ``models_dir``: the models folder; None: the default.
    """

    strength: float = 1.0
    fidelity: float = 0.7
    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    models_dir: Path | None = None


class WeightsResolver(Protocol):
    """Find the graph of a model in the models folder."""

    def __call__(self, name: str, half: bool) -> Path:
        """Return the path of the graph, in half precision if requested and available. Raises ModelError."""


@dataclass(frozen=True, slots=True)
class EnhancerContext:
    """The dependencies of an enhancer."""

    options: EnhancerOptions
    sessions: SessionCache
    monitor: Monitor
    resolve_weights: WeightsResolver


@dataclass(frozen=True, slots=True)
class EditedFrame:
    """One frame of a result: ``after`` the edits so far, and ``before`` them, which must not be changed.

    ``edited`` False: nothing was changed, and both may be the same object.
    """

    after: Frame
    before: Frame
    edited: bool


class FaceEnhancer(Protocol):
    """Enhance the tracked face where an engine edited it."""

    @property
    def run_info(self) -> RunInfo | None:
        """How the model has been run so far; None without a model."""

    def enhance(self, frames: Iterable[EditedFrame], faces: SmoothedFaces) -> Generator[EditedFrame, None, None]:
        """Yield the frames in order, with ``after`` changed in place; frames without edits are not changed.

        ``frames`` are consumed lazily, a few ahead at most. Raises InferenceFailed, OutOfMemory.
        """


class Upscaler(Protocol):
    """Enlarge whole frames by ``factor`` in width and height."""

    factor: int

    @property
    def run_info(self) -> RunInfo | None:
        """How the model has been run so far; None without a model."""

    def begin(self) -> None:
        """Reset temporal state before a new shot or a new result."""

    def upscale(self, frame: Frame) -> Frame:
        """Return a new frame. Raises InferenceFailed, OutOfMemory."""
