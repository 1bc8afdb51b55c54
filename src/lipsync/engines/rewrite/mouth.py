"""The inside of the mouth: teeth, tongue and dark, taken from a real picture of the same mouth where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.faces.geometry import LIPS_INNER
from lipsync.frames.blend import smoothstep
from lipsync.types import Box, Float32, Plane

UPPER = LIPS_INNER[:11]  # from the speaker's right corner over the top to the left one
LOWER = (LIPS_INNER[0], *LIPS_INNER[:9:-1])  # and along the bottom, right to left too
SHUT, AJAR = 0.008, 0.016  # eye distances: lips that touch, and that let something be seen
NARROW = 0.03  # eye distances: below this opening the inside darkens


@dataclass(frozen=True, slots=True)
class Lips:
    """The inner lips in a frame of their own: ``origin`` is the right corner, ``along`` and ``down`` unit vectors.

    ``upper`` and ``lower`` (11, 2): place along (0..1 of ``width``) and height below the line of the corners, pixels.
    ``unit``: pixels per eye distance.
    """

    origin: Float32
    along: Float32
    down: Float32
    width: float
    upper: Float32
    lower: Float32
    unit: float

    @property
    def gap(self) -> float:
        """The widest opening in eye distances."""
        return float((self.lower[:, 1] - self.upper[:, 1]).max()) / self.unit


def measure_lips(points: Float32, unit: float) -> Lips:
    """Lips of one mesh (>= 468, 2) in pixels; ``unit``: the eye distance in pixels."""
    origin, far = points[UPPER[0]], points[UPPER[-1]]
    width = max(float(np.linalg.norm(far - origin)), 1e-3)
    along = (far - origin) / width
    down = np.array([-along[1], along[0]], np.float32)
    upper, lower = (_curve(points[list(k)] - origin, along, down, width) for k in (UPPER, LOWER))
    return Lips(origin, along, down, width, upper, lower, unit)


def _curve(points: Float32, along: Float32, down: Float32, width: float) -> Float32:
    place = np.maximum.accumulate(points @ along / np.float32(width))
    return np.stack([place, points @ down], 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Mouth:
    """A picture of a mouth. ``patch`` (h, w, 3) Y'CbCr code values; ``lips`` and ``points`` in pixels of the patch.

    ``points`` (468, 2) is the mesh, or None where only the inside is worth showing.
    """

    patch: Plane
    lips: Lips
    points: Float32 | None


def show_inside(mouth: Mouth, lips: Lips, box: Box, cavity: Float32) -> tuple[Float32, float]:
    """The donor's inside fitted between the target's lips, (h, w, 3), and how much of it is to be seen, 0..1.

    What lies near the upper lip moves with it (upper teeth), what lies near the lower lip with that (lower teeth and
    tongue); between them the dark is stretched. ``cavity`` (3,) shows where the donor has nothing to give, and in a gap
    so narrow that no light falls in.
    """
    place, height, upper, lower = _coordinates(lips, box)
    donor = mouth.lips
    scale = donor.unit / lips.unit
    place = np.asarray(0.5 + (place - 0.5) * (1 + min(1.0, lips.width * scale / donor.width)) / 2, np.float32)
    top = np.interp(place, donor.upper[:, 0], donor.upper[:, 1])
    bottom = np.interp(place, donor.lower[:, 0], donor.lower[:, 1])
    below, above = (height - upper) * scale, (lower - height) * scale
    wanted = np.maximum(below + above, 1e-3)
    share = np.asarray(np.clip(below / wanted, 0, 1), np.float32)
    row = top + below + smoothstep(share) * (bottom - above - top - below)
    x = donor.origin[0] + place * donor.width * donor.along[0] + row * donor.down[0]
    y = donor.origin[1] + place * donor.width * donor.along[1] + row * donor.down[1]
    x, y = x.astype(np.float32), y.astype(np.float32)
    shown = cv2.remap(mouth.patch, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    torn = smoothstep((lips.gap / max(donor.gap, 1e-3) - 1.2) / 0.8)
    hollow = torn * smoothstep(1.4 - np.abs(share - 0.6) * 4)
    outside = np.clip(-np.minimum(row - top, bottom - row) / (0.02 * donor.unit) - 0.2, 0, 1)
    narrow = 0.85 * smoothstep((NARROW - wanted / donor.unit) / NARROW)
    dark = np.maximum(np.maximum(hollow, outside), narrow)[..., None].astype(np.float32)
    ajar = float(np.clip((lips.gap - SHUT) / (AJAR - SHUT), 0, 1))
    return np.asarray(shown * (1 - dark) + cavity * dark, np.float32), ajar


def _coordinates(lips: Lips, box: Box) -> tuple[Float32, Float32, Float32, Float32]:
    """Per pixel: place along the mouth 0..1, height below the corners, and the heights of both lips there."""
    x = np.arange(box.left, box.right, dtype=np.float32)[None] - lips.origin[0]
    y = np.arange(box.top, box.bottom, dtype=np.float32)[:, None] - lips.origin[1]
    place = np.clip((x * lips.along[0] + y * lips.along[1]) / lips.width, 0, 1)
    height = x * lips.down[0] + y * lips.down[1]
    upper = np.interp(place, lips.upper[:, 0], lips.upper[:, 1])
    lower = np.interp(place, lips.lower[:, 0], lips.lower[:, 1])
    return place, height, upper.astype(np.float32), np.maximum(lower, upper).astype(np.float32)
