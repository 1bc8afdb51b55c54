"""Images of mouths, and the curves of the lips in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.jaws import JawMaps, Jaws
from lipsync.engines.rewrite.light import Light, light_change, relit
from lipsync.faces.geometry import LIPS_INNER
from lipsync.frames.patch import remap
from lipsync.types import Box, Float32, Plane

Floats = NDArray[np.floating]

UPPER: Final = LIPS_INNER[:11]  # along the top, from the speaker's right corner to the left one
LOWER: Final = (LIPS_INNER[0], *LIPS_INNER[:9:-1])  # along the bottom, in the same direction
UPPER_SIDE, LOWER_SIDE = 0, 1


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

    def height(self, position: Floats | float, side: int) -> Float32:
        """The height of the upper lip (``side`` 0) or the lower one (1) at positions along the mouth."""
        curve = (self.upper, self.lower)[side]
        return np.asarray(np.interp(position, curve[:, 0], curve[:, 1]), np.float32)

    def points(self, position: Floats | float, height: Floats | float) -> Float32:
        """Points (..., 2) in pixels at positions along the mouth and heights below the line between the corners."""
        along = np.asarray(position)[..., None] * (self.width * self.along)
        return np.asarray(self.origin + along + np.asarray(height)[..., None] * self.down, np.float32)

    def coordinates(self, points: Float32) -> tuple[Float32, Float32]:
        """The position along the mouth and the height of points (..., 2) in pixels."""
        x, y = points[..., 0] - self.origin[0], points[..., 1] - self.origin[1]
        position = (x * self.along[0] + y * self.along[1]) / np.float32(self.width)
        return np.asarray(position, np.float32), np.asarray(x * self.down[0] + y * self.down[1], np.float32)

    def narrowed(self, depths: Float32) -> Lips:
        """The lips with their edges moved into the gap by ``depths`` (2, 11) in eye distances, upper and lower."""
        upper, lower = self.upper.copy(), self.lower.copy()
        upper[:, 1] += depths[UPPER_SIDE] * self.unit
        lower[:, 1] -= depths[LOWER_SIDE] * self.unit
        return replace(self, upper=upper, lower=lower)

    def outline(self) -> Float32:
        """The inner lips as a closed outline, (22, 2) in pixels."""
        return np.concatenate([self.points(curve[:, 0], curve[:, 1]) for curve in (self.upper, self.lower[::-1])])

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
    instead. ``lip_errors``: see ``lip_edges``. ``jaws``: None if unknown; ``maps``: what ``placed`` noted, from the
    pixels of a frame to those of the patch. ``opening``: see ``opening``; None if it is that of ``lips``.
    """

    patch: Plane
    lips: Lips
    points: Float32 | None
    light: Light | None = None
    change: Float32 | None = None
    drawing: Drawing | None = None
    lip_errors: Float32 | None = None
    jaws: Jaws | None = None
    maps: JawMaps | None = None
    opening: Lips | None = None

    @property
    def seen(self) -> Lips:
        """The lips between which the image shows the inside."""
        return self.opening or self.lips

    def lit(self, rgb: Float32) -> Mouth:
        """The same mouth in the light of a frame in which the skin has the colour ``rgb`` (3,)."""
        return self if self.light is None else replace(self, change=light_change(self.light, rgb))

    def placed(self, jaws: Jaws) -> Mouth:
        """The same mouth in a head whose ``jaws`` are known in pixels of a frame."""
        return self if self.jaws is None else replace(self, maps=jaws.maps_to(self.jaws))

    def sample(self, coordinates: Float32) -> Float32:
        """The image at ``coordinates`` (h, w, 2), x and y in pixels of the patch: (h, w, 3) Y'CbCr code values."""
        return relit(np.asarray(remap(self.patch, coordinates), np.float32), self.change)


def edge_depths(mouth: Mouth, lips: Lips) -> Float32:
    """How far the image of a mouth shows its edges in the gap between the tracked ones, (2, 11), in eye distances.

    Upper and lower edge, for the same lips with the gap of ``lips``; a narrower one shows them as much less far.
    """
    depths = []
    for side, (tracked, shown, target) in enumerate(
        ((mouth.lips.upper, mouth.seen.upper, lips.upper), (mouth.lips.lower, mouth.seen.lower, lips.lower))
    ):
        gaps = [
            abs(own.height(curve[:, 0], 1 - side) - curve[:, 1]) / own.unit
            for own, curve in ((mouth.lips, tracked), (lips, target))
        ]
        less = np.minimum(gaps[1] / np.maximum(gaps[0], 1e-4), 1)
        depths.append(less * np.abs(shown[:, 1] - tracked[:, 1]) / mouth.lips.unit)
    return np.asarray(depths, np.float32)


class Drawing(Protocol):
    """Draws the inside of a mouth for one frame."""

    def draw(self, lips: Lips, box: Box, *, teeth: bool = True) -> Float32:
        """The pixels of ``box`` between and behind ``lips``, (h, w, 3) Y'CbCr code values, with or without teeth."""
