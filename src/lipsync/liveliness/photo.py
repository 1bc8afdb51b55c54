"""One photo with its blinks and head motion, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count, repeat
from typing import Final

import numpy as np

from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.liveliness.blink_times import lid_closures
from lipsync.liveliness.emphasis import emphasis
from lipsync.liveliness.eyelids import Eyelids, eyelids_of
from lipsync.liveliness.eyes import find_eyes
from lipsync.liveliness.head import HeadWarp, head_warp
from lipsync.liveliness.sway import Sway
from lipsync.types import Float32, Frame

FULL_BLINKS: Final = 0.25  # liveliness from which blinks close the eyes
STILL: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a photo that moves. ``closure``: of the eyes, 0..1. ``motion`` (5,): see ``sway.EXCURSION``."""

    closure: float
    motion: Float32


@dataclass(frozen=True, slots=True)
class LivelyPhoto:
    """A photo that can move. ``eyes``: those that blink. ``warp``: moves the head; None if it fills the picture.

    ``emphasis`` (n,): of the voice in the first n frames, see ``emphasis.emphasis``; later ones have none.
    """

    eyes: tuple[Eyelids, ...]
    warp: HeadWarp | None
    liveliness: float
    seed: int
    rate: Fraction
    emphasis: Float32

    def moments(self) -> Iterator[Moment]:
        """The moments of the frames, from the first one on, without end."""
        sway, share = Sway(self.seed), min(1.0, self.liveliness / FULL_BLINKS)
        stresses = chain(map(float, self.emphasis), repeat(0.0))
        for number, closure, stress in zip(count(), lid_closures(self.seed, self.rate), stresses, strict=False):
            yield Moment(share * closure, self.liveliness * sway.at(float(number / self.rate), stress))

    def show(self, frame: Frame, moment: Moment) -> bool:
        """Change a frame of the photo to a moment, in place. Returns whether anything changed."""
        blinks = moment.closure > 0 and bool(self.eyes)
        moves = self.warp is not None and float(np.abs(moment.motion).max()) > STILL
        if blinks:
            for eye in self.eyes:
                eye.close(frame, moment.closure)
        if self.warp is not None and moves:
            self.warp.apply(frame, moment.motion)
        return blinks or moves


def lively_photo(
    frame: Frame, faces: SmoothedFaces, rate: Fraction, liveliness: float, seed: int, voice: Iterable[Float32] = ()
) -> LivelyPhoto | None:
    """Prepare a photo, shown by ``frame``, for a video of ``rate`` frames/s; None without a face.

    ``liveliness``: 0..1, the extent of the motion. ``seed``: equal seeds give equal motion. ``voice``: mono
    samples at 16 kHz, -1..1, on whose stressed syllables the head nods.
    """
    face = faces.at(0) if faces.track.present[0] else None
    if face is None:
        return None
    eyes = (eyelids_of(frame, eye) for eye in find_eyes(frame, faces.track.landmarks(0, 1)[0]))
    visible = tuple(eye for eye in eyes if eye is not None)
    return LivelyPhoto(visible, head_warp(frame, face), liveliness, seed, rate, emphasis(voice, rate))
