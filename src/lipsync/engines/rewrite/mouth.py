"""The inside of the mouth: teeth, tongue and cavity, warped from a donor between the target's lips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.light import Light, light_change, relit
from lipsync.faces.geometry import LIPS_INNER
from lipsync.frames.blend import smoothstep
from lipsync.frames.patch import remap
from lipsync.types import Box, Float32, Plane

Floats = NDArray[np.floating]

UPPER: Final = LIPS_INNER[:11]  # along the top, from the speaker's right corner to the left one
LOWER: Final = (LIPS_INNER[0], *LIPS_INNER[:9:-1])  # along the bottom, in the same direction
CLOSED_GAP, OPEN_GAP = 0.008, 0.016  # eye distances between which the inside fades in
NARROW_GAP: Final = 0.03  # eye distances below which the inside darkens, because little light falls in
NARROW_DARKNESS: Final = 0.85
TEAR_START, TEAR_RANGE = 1.2, 0.8  # stretch of a donor at which its middle fades to the cavity, and over how much


@dataclass(frozen=True, slots=True)
class Lips:
    """The inner lips in their own frame: ``origin`` is the right corner, ``along`` and ``down`` are unit vectors.

    ``upper`` and ``lower`` (11, 2): position along the mouth (0..1 of ``width``) and height below the line between the
    corners in pixels. ``unit``: pixels per eye distance.
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
        """The largest distance of the lips in eye distances."""
        return float((self.lower[:, 1] - self.upper[:, 1]).max()) / self.unit


def measure_lips(points: Float32, unit: float) -> Lips:
    """The lips of a mesh (>= 468, 2) in pixels; ``unit``: the eye distance in pixels."""
    origin, end = points[UPPER[0]], points[UPPER[-1]]
    width = max(float(np.linalg.norm(end - origin)), 1e-3)
    along = (end - origin) / width
    down = np.array([-along[1], along[0]], np.float32)
    upper, lower = (_curve(points[list(lip)] - origin, along, down, width) for lip in (UPPER, LOWER))
    return Lips(origin, along, down, width, upper, lower, unit)


def _curve(points: Float32, along: Float32, down: Float32, width: float) -> Float32:
    position = np.maximum.accumulate(points @ along / np.float32(width))
    return np.stack([position, points @ down], 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Mouth:
    """An image of a mouth. ``patch`` (h, w, 3): Y'CbCr code values; ``lips`` and ``points``: in pixels of the patch.

    ``points`` (468, 2) is the mesh, or None if only the inside may be used. ``light``: on the skin around, if known;
    ``change``: what ``lit`` noted, to be applied to pixels of the patch with ``sample``. ``drawing``: draws the inside
    instead. ``lip_errors``: see ``lip_edges``.
    """

    patch: Plane
    lips: Lips
    points: Float32 | None
    light: Light | None = None
    change: Float32 | None = None
    drawing: Drawing | None = None
    lip_errors: Float32 | None = None

    def lit(self, rgb: Float32) -> Mouth:
        """The same mouth in the light of a frame in which the skin has the colour ``rgb`` (3,)."""
        return self if self.light is None else replace(self, change=light_change(self.light, rgb))

    def sample(self, coordinates: Float32) -> Float32:
        """The image at ``coordinates`` (h, w, 2), x and y in pixels of the patch: (h, w, 3) Y'CbCr code values."""
        return relit(np.asarray(remap(self.patch, coordinates), np.float32), self.change)


class Drawing(Protocol):
    """Draws the inside of a mouth for one frame."""

    def draw(self, lips: Lips, box: Box) -> Float32:
        """The pixels of ``box`` between and behind ``lips``, (h, w, 3) Y'CbCr code values."""


def warp_inside(mouth: Mouth, lips: Lips, box: Box, cavity: Float32) -> tuple[Float32, float]:
    """The donor's inside warped between the target's lips, (h, w, 3), and its opacity in 0..1.

    Pixels near the upper lip move with it (upper teeth), pixels near the lower lip with the lower one (lower teeth and
    tongue), and those between are stretched. The ``cavity`` colour (3,) fills what the donor does not cover, and gaps
    too narrow for light.
    """
    opacity = float(np.clip((lips.gap - CLOSED_GAP) / (OPEN_GAP - CLOSED_GAP), 0, 1))
    if mouth.drawing is not None:
        return relit(mouth.drawing.draw(lips, box), mouth.change), opacity
    donor = mouth.lips
    position, height, upper, lower = _coordinates(lips, box)
    scale = donor.unit / lips.unit
    spread = (1 + min(1.0, lips.width * scale / donor.width)) / 2
    position = np.asarray(0.5 + (position - 0.5) * spread, np.float32)
    top = np.interp(position, donor.upper[:, 0], donor.upper[:, 1])
    bottom = np.interp(position, donor.lower[:, 0], donor.lower[:, 1])
    below, above = (height - upper) * scale, (lower - height) * scale
    gap = np.maximum(below + above, 1e-3)
    share = np.asarray(np.clip(below / gap, 0, 1), np.float32)
    row = top + below + smoothstep(share) * (bottom - above - top - below)
    inside = _sample(mouth, position, row)
    dark = np.maximum(_hollow(lips, donor, share), _uncovered(row, top, bottom, donor.unit))
    dark = np.maximum(dark, _narrow(gap / donor.unit))[..., None].astype(np.float32)
    return np.asarray(inside * (1 - dark) + cavity * dark, np.float32), opacity


def _sample(mouth: Mouth, position: Floats, row: Floats) -> Float32:
    lips = mouth.lips
    x = lips.origin[0] + position * lips.width * lips.along[0] + row * lips.down[0]
    y = lips.origin[1] + position * lips.width * lips.along[1] + row * lips.down[1]
    return mouth.sample(np.stack([x, y], -1).astype(np.float32))


def _hollow(lips: Lips, donor: Lips, share: Float32) -> Float32:
    """The darkness of the middle, where a donor that is much less open than the target would tear."""
    torn = smoothstep((lips.gap / max(donor.gap, 1e-3) - TEAR_START) / TEAR_RANGE)
    return torn * smoothstep(1.4 - np.abs(share - 0.6) * 4)


def _uncovered(row: Floats, top: Floats, bottom: Floats, unit: float) -> Float32:
    """The darkness of pixels that the donor's lips would cover."""
    return np.asarray(np.clip(-np.minimum(row - top, bottom - row) / (0.02 * unit) - 0.2, 0, 1), np.float32)


def _narrow(gap: Floats) -> Float32:
    """The darkness of narrow gaps, in eye distances."""
    return np.asarray(NARROW_DARKNESS * smoothstep((NARROW_GAP - gap) / NARROW_GAP), np.float32)


def _coordinates(lips: Lips, box: Box) -> tuple[Float32, Float32, Float32, Float32]:
    """For each pixel: position along the mouth 0..1, height below the corners, and the heights of both lips there."""
    x = np.arange(box.left, box.right, dtype=np.float32)[None] - lips.origin[0]
    y = np.arange(box.top, box.bottom, dtype=np.float32)[:, None] - lips.origin[1]
    position = np.clip((x * lips.along[0] + y * lips.along[1]) / lips.width, 0, 1)
    height = x * lips.down[0] + y * lips.down[1]
    upper = np.interp(position, lips.upper[:, 0], lips.upper[:, 1])
    lower = np.interp(position, lips.lower[:, 0], lips.lower[:, 1])
    return position, height, upper.astype(np.float32), np.maximum(lower, upper).astype(np.float32)
