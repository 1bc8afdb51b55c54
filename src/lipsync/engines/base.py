"""What every engine is: something that studies the footage once and then gives each frame a new mouth."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from lipsync.faces.track import Track
from lipsync.types import Clip, Face, Picture


@dataclass(frozen=True, slots=True)
class Scene:
    """What an engine works from: where the followed face is, what is said, and how many frames come out."""

    track: Track
    sound: Clip
    rate: Fraction
    frames: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished frame; ``edited`` is False where the footage passed through untouched."""

    picture: Picture
    edited: bool


class Engine(Protocol):
    """One job's engine: ``observe`` sees all footage in order, then ``synthesise`` runs once.

    ``needs_faces``: whether a face must be followed; if not, every face that it is shown is None.
    """

    needs_faces: bool

    def observe(self, picture: Picture, face: Face | None) -> None:
        """Look at one frame of the footage during the first pass; it must not be changed."""

    def synthesise(self, pictures: Iterable[Picture], scene: Scene) -> Generator[Rendered, None, None]:
        """Turn ``scene.frames`` pictures of the footage, in the order of the output, into the output's."""
