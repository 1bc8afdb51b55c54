"""The speaker with the mouth closed, for when nothing is said.

The generator is shown the whole frame as a reference for the face that it completes, and where the sound tells it
nothing it copies that frame's mouth, which may well be speaking. Trained on references from anywhere in the footage,
it takes one with a closed mouth as readily.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.wav2lip.crop import Crop, view
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LEFT_EYE, RIGHT_EYE, eye_distance
from lipsync.types import Float32, Frame, Landmarks, Shot

NOSE_TIP = 1
STEP = 0.08  # eye distances by which the nose moves across the face from one kept turn of the head to the next
FARTHEST = 0.56  # eye distances of that, beyond which a head counts as turned no further
BETTER = 0.8  # of the kept one's opening: what a mouth must be closed to, to take its place
OPEN_PRICE = 1.5  # eye distances of opening count so many times as much as those of turning
SPAN, MOST = 128, 400  # frames of footage that share their references at first; references kept in all

Cell = tuple[int, int, int]  # which stretch of the footage, and how the head is turned


@dataclass(frozen=True, slots=True)
class ClosedMouth:
    """One kept face: ``pixels`` (3, 96, 96) BGR, of the footage's frame ``frame``; ``turn`` (2,): where the nose is;
    ``gap``: how far the lips are apart; both in eye distances."""

    pixels: NDArray[np.uint8]
    frame: int
    turn: Float32
    gap: float


class ClosedMouths:
    """The most closed mouth of each stretch of the footage, for each way that the head is turned there.

    Bounded at any length: where there are too many, stretches are joined.
    """

    def __init__(self) -> None:
        self._kept: dict[Cell, ClosedMouth] = {}
        self._span = SPAN

    def offer(self, picture: Frame, landmarks: Landmarks, crop: Crop) -> None:
        """Keep this frame's face if its mouth is more closed than what is kept. ``landmarks`` (478, 3) in pixels."""
        turn, gap = _turn(landmarks[:, :2]), _gap(landmarks[:, :2])
        known = self._kept.get(self._cell(picture.index, turn))
        if known is not None and gap >= BETTER * known.gap:
            return
        pixels = np.rint(view(picture, crop) * 255).astype(np.uint8)
        self._kept[self._cell(picture.index, turn)] = ClosedMouth(pixels, picture.index, turn, gap)
        while len(self._kept) > MOST:
            self._join()

    def nearest(self, points: Float32, shot: Shot) -> tuple[int, Float32] | None:
        """The best reference of the same shot for a face (>= 468, 2) in pixels: its frame, and its view (3, 96, 96) in
        0..1. None if there is none: another shot's light would show."""
        turn = _turn(points)
        found = [closed for closed in self._kept.values() if shot.start <= closed.frame < shot.stop]
        if not found:
            return None
        best = min(found, key=lambda c: float(np.linalg.norm(c.turn - turn)) + OPEN_PRICE * c.gap)
        return best.frame, np.multiply(best.pixels, 1 / 255, dtype=np.float32)

    def _cell(self, frame: int, turn: Float32) -> Cell:
        return frame // self._span, round(float(turn[0]) / STEP), round(float(turn[1]) / STEP)

    def _join(self) -> None:
        self._span *= 2
        before, self._kept = self._kept.values(), {}
        for closed in before:
            cell = self._cell(closed.frame, closed.turn)
            if cell not in self._kept or closed.gap < self._kept[cell].gap:
                self._kept[cell] = closed


def _turn(points: Float32) -> Float32:
    """Where the tip of the nose lies between the eyes, along and across their line, in eye distances."""
    along = points[LEFT_EYE] - points[RIGHT_EYE]
    away = points[NOSE_TIP] - (points[LEFT_EYE] + points[RIGHT_EYE]) / 2
    square = max(float(along @ along), 1e-6)
    place = np.array([away @ along, along[0] * away[1] - along[1] * away[0]], np.float32) / np.float32(square)
    return np.asarray(np.clip(place, -FARTHEST, FARTHEST), np.float32)


def _gap(points: Float32) -> float:
    across = eye_distance(points)
    return float(np.linalg.norm(points[INNER_TOP] - points[INNER_BOTTOM])) / max(across, 1e-6)
