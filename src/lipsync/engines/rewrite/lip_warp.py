"""Warp the two lip layers: each lip with the skin on its side, continued beyond the lip's inner edge.

The map of a layer is piecewise affine, as the skin's. Beyond the inner edge it continues in flaps, so that the edge's
antialiased pixels find lip colour on both of its sides. When the lips of an open mouth close, the map reads the edge
from further inside the lip: a landmark that is off by a pixel would otherwise bring teeth or cavity with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, pairwise
from typing import Final

import numpy as np

from lipsync.engines.rewrite.mattes import STEPS, Contours
from lipsync.engines.rewrite.mouth import LOWER, UPPER
from lipsync.engines.rewrite.warp import Raster, with_ring
from lipsync.faces.geometry import JAW, MESH
from lipsync.frames.blend import smoothstep
from lipsync.types import Float32

FLAP: Final = 0.2  # mouth widths that a layer continues beyond the lip's edge
CORNER_REACH: Final = 0.12  # mouth widths beyond the corners over which the inset fades
_FIRST_FLAP: Final = MESH + len(JAW)


def with_flaps(points: Float32) -> Float32:
    """Mesh points (468, 2), the ring outside the jaw, and the ends of the flaps: (468 + 21 + 22, 2).

    The upper lip's flaps hang down from its inner edge, the lower lip's stand up from it.
    """
    along = points[UPPER[-1]] - points[UPPER[0]]
    down = np.array([-along[1], along[0]], np.float32) * FLAP
    return np.concatenate([with_ring(points), points[list(UPPER)] + down, points[list(LOWER)] - down])


def without_overlap(points: Float32) -> Float32:
    """Mesh points (468, 2) whose pressed lips meet halfway: lips that lie on each other would fold their triangles."""
    upper, lower = list(UPPER[1:-1]), list(LOWER[1:-1])
    along = points[UPPER[-1]] - points[UPPER[0]]
    down = np.array([-along[1], along[0]], np.float32) / np.float32(max(float(np.hypot(*along)), 1e-3))
    overlap = np.maximum((points[upper] - points[lower]) @ down, 0)
    if not overlap.any():
        return points
    apart, half = points.copy(), overlap[:, None] / 2 * down
    apart[upper] -= half
    apart[lower] += half
    return apart


def _flaps(edge: tuple[int, ...], first: int) -> list[tuple[int, int, int]]:
    """Triangles between the points of a lip's inner ``edge`` and those from number ``first`` on."""
    pairs = [((a, b, c), (b, c + 1, c)) for (a, b), c in zip(pairwise(edge), count(first))]
    return [triangle for pair in pairs for triangle in pair]


FLAPS: Final = 2 * (len(UPPER) - 1)  # triangles of each lip
# (2 * FLAPS, 3): the upper lip's, then the lower lip's
FLAP_TRIANGLES: Final = np.array(_flaps(UPPER, _FIRST_FLAP) + _flaps(LOWER, _FIRST_FLAP + len(UPPER)), np.int32)


@dataclass(frozen=True, slots=True)
class LipSource:
    """Where the pixels of a layer come from. ``points`` (511, 2): see ``with_flaps``.

    ``insets`` (2, SAMPLES + 1): how far inside the upper and the lower lip its edge is read, in pixels.
    """

    points: Float32
    contours: Contours
    insets: Float32


def lip_maps(rasters: tuple[Raster, Raster], source: LipSource) -> list[Float32]:
    """The position of each pixel of the upper and the lower layer in the source, each (height, width, 2).

    ``rasters``: windows of one raster, covered by the flaps of each lip.
    """
    coefficients = rasters[0].coefficients_from(source.points)
    return [_lip_map(raster, coefficients, source, lip) for lip, raster in enumerate(rasters)]


def _lip_map(raster: Raster, coefficients: Float32, source: LipSource, lip: int) -> Float32:
    shifts = raster.shifts(coefficients)
    if source.insets.max() > 0:
        x, y = raster.grid()
        shifts += _into_the_lip(shifts[..., 0] + x, shifts[..., 1] + y, source, lip)
    return raster.full_map(shifts)


def _into_the_lip(x: Float32, y: Float32, source: LipSource, lip: int) -> Float32:
    """How far to move positions (n, m) into the lip, (n, m, 2): the inset at its edge, less with the distance."""
    lips = source.contours.lips
    x, y = x - lips.origin[0], y - lips.origin[1]
    position = (x * lips.along[0] + y * lips.along[1]) / np.float32(lips.width)
    edge = np.interp(position, STEPS, source.contours.heights[lip])
    sign = np.float32(2 * lip - 1)
    inward = sign * (x * lips.down[0] + y * lips.down[1] - edge)
    beyond = np.maximum(np.abs(position - 0.5) - 0.5, 0)
    inset = np.interp(position, STEPS, source.insets[lip]) * smoothstep(1 - beyond / CORNER_REACH)
    moved = (np.sqrt(inward**2 + 4 * inset**2) - inward) / 2
    moved *= inset > 0
    return np.asarray((sign * moved)[..., None] * lips.down, np.float32)
