"""What every enhancer is: something that makes frames sharper or larger, after an engine gave them a new mouth."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lipsync.faces.track import Track
from lipsync.models.session import RunInfo
from lipsync.types import Frame


@dataclass(frozen=True, slots=True)
class EnhancerOptions:
    """What may be asked of an enhancer; each takes what concerns it.

    ``strength`` 0..1: how much of the enhanced is shown over what it was made from. ``fidelity`` 0..1: for networks
    that can be told to stay near to the face that they see (1), or to make it as beautiful as they can (0). ``device``,
    ``precision``: see ``models.devices.choose_runtime``. ``tile``: pixels of a tile's side; None: what suits the
    device. ``models_dir``: the store's folder; None: the usual one.
    """

    strength: float = 1.0
    fidelity: float = 0.7
    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    models_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class EditedFrame:
    """One frame of a result: ``after`` as edited so far, and ``before``, the source frame, which must not be changed.

    ``edited`` False: nothing was changed, and both may be the same object.
    """

    after: Frame
    before: Frame
    edited: bool


class FaceEnhancer(Protocol):
    """Works on the followed face, and only on what was edited."""

    @property
    def run_info(self) -> RunInfo | None:
        """How it computed, so far; None if there is nothing to compute."""

    def enhance(self, frames: Iterable[EditedFrame], track: Track) -> Generator[EditedFrame, None, None]:
        """The frames in order, ``after`` changed in place; those that were not edited pass through untouched.

        ``frames`` are read as they are needed, a few ahead at most. Raises InferenceFailed, OutOfMemory.
        """


class Upscaler(Protocol):
    """Makes whole pictures ``factor`` times larger."""

    factor: int

    @property
    def run_info(self) -> RunInfo | None:
        """How it computed, so far; None if there is nothing to compute."""

    def begin(self) -> None:
        """What follows has nothing to do with what came before: another shot, or another result."""

    def upscale(self, picture: Frame) -> Frame:
        """A new picture of ``factor`` times the width and height. Raises InferenceFailed, OutOfMemory."""
