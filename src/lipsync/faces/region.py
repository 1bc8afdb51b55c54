"""Where to look: the turned square around a face that the landmark network is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lipsync.faces.geometry import LEFT_EYE, MESH, RIGHT_EYE
from lipsync.types import Float32, Landmarks

ROOM = 1.5  # side of the square, in sides of the landmarks' own box


@dataclass(frozen=True, slots=True)
class Region:
    """A square in the picture: its centre and side in pixels, and the angle of the line between the eyes in radians."""

    x: float
    y: float
    side: float
    angle: float

    def matrix(self, pixels: int) -> Float32:
        """The map (2, 3) from pixels of a view of ``pixels`` x ``pixels`` to pixels of the picture."""
        return view_matrix((self.x, self.y), (self.side, self.side), self.angle, pixels)

    def moved(self, last: Region, steps: float) -> Region:
        """Where the square would be ``steps`` frames on, had it kept its motion since ``last``, the frame before."""
        turn = _signed_angle(self.angle - last.angle)
        return replace(
            self,
            x=self.x + steps * (self.x - last.x),
            y=self.y + steps * (self.y - last.y),
            angle=self.angle + steps * turn,
        )

    def offset(self, other: Region) -> float:
        """How differently two squares show a face: 0 the same, 1 a whole side, or twice the size, or half a turn."""
        shift = np.hypot(self.x - other.x, self.y - other.y) / self.side
        zoom = abs(np.log2(other.side / self.side))
        turn = abs(_signed_angle(self.angle - other.angle)) / np.pi
        return float(max(shift, zoom, turn))


def region_of(landmarks: Landmarks) -> Region:
    """The square around a known face's landmarks (478, 3)."""
    angle = head_angle(landmarks)
    cosine, sine = np.cos(angle), np.sin(angle)
    upright = landmarks[:MESH, :2] @ np.array([[cosine, -sine], [sine, cosine]], np.float32)
    low, high = upright.min(0), upright.max(0)
    x, y = (low + high) / 2
    side = float((high - low).max()) * ROOM
    return Region(float(cosine * x - sine * y), float(sine * x + cosine * y), max(side, 1.0), angle)


def head_angle(landmarks: Landmarks) -> float:
    """The angle of the line between the eyes of a face (>= 468, >= 2) in radians, positive clockwise."""
    across = landmarks[LEFT_EYE, :2] - landmarks[RIGHT_EYE, :2]
    return float(np.arctan2(across[1], across[0]))


def view_matrix(centre: tuple[float, float], size: tuple[float, float], angle: float, pixels: int) -> Float32:
    """The affine map (2, 3) from pixels of a view of ``pixels`` x ``pixels`` to pixels of the frame.

    The view shows a box around ``centre`` of ``size`` (width, height) in pixels, rotated by ``angle`` radians.
    """
    width, height = size
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]]) * [width / pixels, height / pixels]
    shift = np.array(centre) - turn.sum(1) * (pixels - 1) / 2
    return np.column_stack([turn, shift]).astype(np.float32)


def _signed_angle(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
