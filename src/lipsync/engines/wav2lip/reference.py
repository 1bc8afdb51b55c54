"""The speaker with the mouth closed, for when nothing is said.

The generator is shown the whole frame as a reference for the face that it completes, and where the sound tells it
nothing it copies that frame's mouth, which may well be speaking. Trained on references from anywhere in the footage,
it takes one with a closed mouth as readily.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsync.engines.wav2lip.crop import Crop, view
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LEFT_EYE, RIGHT_EYE
from lipsync.types import Float32, Landmarks, Picture

NOSE_TIP = 1
STEP = 0.08  # eye distances by which the nose moves across the face from one kept turn of the head to the next
BETTER = 0.8  # of the kept one's opening: what a mouth must be closed to, to take its place
OPEN_PRICE = 1.5  # eye distances of opening count so many times as much as those of turning


@dataclass(frozen=True, slots=True)
class Closed:
    """One kept view (3, 96, 96). ``turn`` (2,): where the nose is; ``gap``: how far the lips are apart; both in eye
    distances."""

    view: Float32
    turn: Float32
    gap: float


class ClosedMouths:
    """The most closed mouth of the footage for each way that the head is turned."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], Closed] = {}

    def offer(self, picture: Picture, landmarks: Landmarks, crop: Crop) -> None:
        """Keep this frame's face if its mouth is more closed than what is kept. ``landmarks`` (478, 3) in pixels."""
        turn, gap = _turn(landmarks[:, :2]), _gap(landmarks[:, :2])
        place = (round(turn[0] / STEP), round(turn[1] / STEP))
        known = self._kept.get(place)
        if known is None or gap < BETTER * known.gap:
            self._kept[place] = Closed(view(picture, crop), turn, gap)

    def nearest(self, points: Float32) -> tuple[tuple[int, int], Float32] | None:
        """The name and the view of the best reference for a face (>= 468, 2) in pixels; None if nothing was offered."""
        if not self._kept:
            return None
        turn = _turn(points)
        price = {k: float(np.linalg.norm(c.turn - turn)) + OPEN_PRICE * c.gap for k, c in self._kept.items()}
        best = min(price, key=lambda place: price[place])
        return best, self._kept[best].view


def _turn(points: Float32) -> Float32:
    """Where the tip of the nose lies between the eyes, along and across their line, in eye distances."""
    along = points[LEFT_EYE] - points[RIGHT_EYE]
    away = points[NOSE_TIP] - (points[LEFT_EYE] + points[RIGHT_EYE]) / 2
    square = max(float(along @ along), 1e-6)
    return np.array([away @ along, along[0] * away[1] - along[1] * away[0]], np.float32) / np.float32(square)


def _gap(points: Float32) -> float:
    across = float(np.linalg.norm(points[LEFT_EYE] - points[RIGHT_EYE]))
    return float(np.linalg.norm(points[INNER_TOP] - points[INNER_BOTTOM])) / max(across, 1e-6)
