"""What every engine is: something that studies the footage once and then gives each frame a new mouth."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from lipsync.faces.track import Track
from lipsync.models.session import RunInfo
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Face, Frame, Sides


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What may be asked of an engine; each takes what concerns it.

    ``device``, ``precision``: see ``models.devices.choose_runtime``. ``batch_size``: the most frames that a network
    computes at once; None: what suits the device. ``original``: step by step as the original did it. ``checkpoint``:
    the weights, a file or a name in the store; None: those of the engine's own name. ``models_dir``: the store's
    folder; None: the usual one.

    ``pads`` (top, bottom, left, right): pixels added to the face's box; None: the engine's own. ``box`` (top, bottom,
    left, right): where the face is throughout, in place of looking for it. ``smooth``: boxes are averaged over time.
    """

    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    original: bool = False
    checkpoint: str | None = None
    models_dir: Path | None = None
    pads: Sides | None = None
    box: Sides | None = None
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """What an engine works from: where the followed face is, what is said, and how many frames come out.

    ``av_offset``: seconds by which the mouth is to be later than the sound.
    """

    track: Track
    voice: SpeechAudio
    rate: Fraction
    frames: int
    av_offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished frame; ``edited`` is False where the footage passed through untouched."""

    frame: Frame
    edited: bool


class Engine(Protocol):
    """One job's engine: ``observe`` sees all footage in order, then ``synthesise`` runs once.

    ``needs_faces``: whether a face must be followed; if not, every face that it is shown is None.
    """

    needs_faces: bool

    @property
    def run_info(self) -> RunInfo | None:
        """How it computed, so far; None if there is nothing to compute."""

    def observe(self, picture: Frame, face: Face | None) -> None:
        """Look at one frame of the footage during the first pass; it must not be changed."""

    def synthesise(self, pictures: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        """Turn ``scene.frames`` pictures of the footage, in the order of the output, into the output's."""
