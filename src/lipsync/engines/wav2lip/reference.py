"""Closed-mouth references of the speaker, for silent stretches of the audio.

The generator completes a face from a reference of the same person. Where the audio is silent, it copies the
reference's mouth, which may be speaking if the reference is the frame itself. The generator was trained on references
from anywhere in the video, so it accepts a closed mouth from another frame as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.wav2lip.crop import Crop, face_view
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LEFT_EYE, RIGHT_EYE, eye_distance
from lipsync.types import Float32, Frame, Landmarks, Shot

NOSE_TIP: Final = 1
TURN_STEP: Final = 0.08  # eye distances of nose displacement between two kept head turns
MAX_TURN: Final = 0.56  # eye distances; larger turns count as this one
REPLACE_BELOW: Final = 0.8  # a new mouth replaces the kept one if its gap is below this share of the kept gap
GAP_WEIGHT: Final = 1.5  # weight of the lip gap against the head turn, both in eye distances
SPAN_FRAMES: Final = 128  # initial length of a stretch of the video
MAX_REFERENCES: Final = 400

Cell = tuple[int, int, int]  # the stretch of the video, and the quantised head turn


@dataclass(frozen=True, slots=True)
class ClosedMouthReference:
    """A kept face: ``pixels`` (3, 96, 96) BGR of the video's frame ``frame_index``.

    ``turn`` (2,) is the nose's position and ``gap`` the distance of the inner lips, both in eye distances.
    """

    pixels: NDArray[np.uint8]
    frame_index: int
    turn: Float32
    gap: float


class ClosedMouthReferences:
    """The most closed mouth in each stretch of the video, for each head turn seen there.

    Memory is bounded at any length: above MAX_REFERENCES, neighbouring stretches are merged.
    """

    def __init__(self) -> None:
        self._references: dict[Cell, ClosedMouthReference] = {}
        self._span = SPAN_FRAMES

    def __len__(self) -> int:
        return len(self._references)

    def offer(self, frame: Frame, landmarks: Landmarks, crop: Crop) -> None:
        """Keep this frame's face if its mouth is clearly more closed. ``landmarks`` (478, 3) in pixels."""
        turn, gap = _head_turn(landmarks[:, :2]), _lip_gap(landmarks[:, :2])
        cell = self._cell(frame.index, turn)
        known = self._references.get(cell)
        if known is not None and gap >= REPLACE_BELOW * known.gap:
            return
        pixels = np.rint(face_view(frame, crop) * 255).astype(np.uint8)
        self._references[cell] = ClosedMouthReference(pixels, frame.index, turn, gap)
        while len(self._references) > MAX_REFERENCES:
            self._merge_stretches()

    def nearest(self, points: Float32, shot: Shot) -> tuple[int, Float32] | None:
        """The best reference for a face (>= 468, 2) in pixels: its frame index and its view (3, 96, 96) in 0..1.

        Only references of the same shot are used, because another shot's lighting would show. None if it has none.
        """
        turn = _head_turn(points)
        candidates = [ref for ref in self._references.values() if shot.start <= ref.frame_index < shot.stop]
        if not candidates:
            return None
        best = min(candidates, key=lambda ref: float(np.linalg.norm(ref.turn - turn)) + GAP_WEIGHT * ref.gap)
        return best.frame_index, np.multiply(best.pixels, 1 / 255, dtype=np.float32)

    def _cell(self, frame_index: int, turn: Float32) -> Cell:
        return frame_index // self._span, round(float(turn[0]) / TURN_STEP), round(float(turn[1]) / TURN_STEP)

    def _merge_stretches(self) -> None:
        self._span *= 2
        references, self._references = self._references.values(), {}
        for reference in references:
            cell = self._cell(reference.frame_index, reference.turn)
            if cell not in self._references or reference.gap < self._references[cell].gap:
                self._references[cell] = reference


def _head_turn(points: Float32) -> Float32:
    """The nose tip's position relative to the eyes, along and across the line between them, in eye distances."""
    along = points[LEFT_EYE] - points[RIGHT_EYE]
    nose = points[NOSE_TIP] - (points[LEFT_EYE] + points[RIGHT_EYE]) / 2
    square = max(float(along @ along), 1e-6)
    turn = np.array([nose @ along, along[0] * nose[1] - along[1] * nose[0]], np.float32) / np.float32(square)
    return np.asarray(np.clip(turn, -MAX_TURN, MAX_TURN), np.float32)


def _lip_gap(points: Float32) -> float:
    return float(np.linalg.norm(points[INNER_TOP] - points[INNER_BOTTOM])) / max(eye_distance(points), 1e-6)
