"""The rotated square around a face that the landmark network sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lipsync.faces.geometry import LEFT_EYE, MESH, RIGHT_EYE
from lipsync.types import Float32, Landmarks

REGION_SCALE = 1.5  # side of the square, in sides of the landmarks' bounding box


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated square: centre and side in frame pixels, and the angle of the line between the eyes in radians."""

    x: float
    y: float
    side: float
    angle: float

    def matrix(self, pixels: int) -> Float32:
        """Return the map (2, 3) from pixels of a view of ``pixels`` x ``pixels`` to pixels of the frame."""
        return view_matrix((self.x, self.y), (self.side, self.side), self.angle, pixels)

    def moved(self, last: Region, steps: float) -> Region:
        """Extrapolate the square by ``steps`` frames, from its motion since ``last``, one frame earlier."""
        turn = _signed_angle(self.angle - last.angle)
        return replace(
            self,
            x=self.x + steps * (self.x - last.x),
            y=self.y + steps * (self.y - last.y),
            angle=self.angle + steps * turn,
        )

    def offset(self, other: Region) -> float:
        """Return how far two squares differ: 0 equal; 1 a shift by one side, twice the size, or half a turn."""
        shift = np.hypot(self.x - other.x, self.y - other.y) / self.side
        zoom = abs(np.log2(other.side / self.side))
        turn = abs(_signed_angle(self.angle - other.angle)) / np.pi
        return float(max(shift, zoom, turn))


def region_of(landmarks: Landmarks) -> Region:
    """Return the square around a face's landmarks (478, 3)."""
    angle = head_angle(landmarks)
    cosine, sine = np.cos(angle), np.sin(angle)
    upright = landmarks[:MESH, :2] @ np.array([[cosine, -sine], [sine, cosine]], np.float32)
    low, high = upright.min(0), upright.max(0)
    x, y = (low + high) / 2
    side = float((high - low).max()) * REGION_SCALE
    return Region(float(cosine * x - sine * y), float(sine * x + cosine * y), max(side, 1.0), angle)


def head_angle(landmarks: Landmarks) -> float:
    """Return the angle of the line between the eyes of a face (>= 468, >= 2) in radians, positive clockwise."""
    across = landmarks[LEFT_EYE, :2] - landmarks[RIGHT_EYE, :2]
    return float(np.arctan2(across[1], across[0]))


def view_matrix(centre: tuple[float, float], size: tuple[float, float], angle: float, pixels: int) -> Float32:
    """Return the affine map (2, 3) from pixels of a view of ``pixels`` x ``pixels`` to pixels of the frame.

    The view shows a box around ``centre`` of ``size`` (width, height) in pixels, rotated by ``angle`` radians.
    """
    width, height = size
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]]) * [width / pixels, height / pixels]
    shift = np.array(centre) - turn.sum(1) * (pixels - 1) / 2
    return np.column_stack([turn, shift]).astype(np.float32)


def _signed_angle(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
