"""Warp the skin: a piecewise affine map from the target mesh back to the source frame.

The upper and lower lips belong to different triangles, and the inside of the mouth to none, so that the lips never
smear into each other. Where nothing moves, the map is the identity and the pixels keep their exact values.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import JAW, LIPS, LIPS_INNER, MESH
from lipsync.types import Box, Float32

Triangles = NDArray[np.int32]  # (n, 3) point numbers

SUBPIXEL_BITS: Final = 4  # of cv2.fillConvexPoly
MIN_TRIANGLE_HEIGHT: Final = 1.0  # pixels; lower triangles are only translated, as their gradient would be extreme
LIP_STEP: Final = 0.03  # mouth widths
STILL_PIXELS: Final = 0.02  # a triangle that moves less stays in place
_INNER_EDGES = tuple(pairwise((*LIPS_INNER, LIPS_INNER[0])))
_JAW, _EDGES, _INNER = np.array(JAW), np.array(_INNER_EDGES), np.array(LIPS_INNER)
MIN_SPACING: Final = 0.035  # eye distances; the mesh's second ring inside the lips is closer and would fold over
SPACING_SHARE: Final = 0.28  # spacing of the skin's points as a share of their distance from the lips
FIXED_POINTS: Final = (1, 2, 4, 50, 101, 205, 280, 330, 425)  # the border of the moving skin
# A second ring outside the jaw stays in place, so that the neck follows softly.
RING_EXTENT: Final = 0.45  # of the distance from the mesh's middle to the jaw, added outside it


def with_ring(points: Float32) -> Float32:
    """Mesh points (468, 2) followed by the ring outside the jaw: (468 + 21, 2)."""
    jaw = points[_JAW]
    middle = (points[1] + points[152] + points[10]) / 3
    return np.concatenate([points, jaw + RING_EXTENT * (jaw - middle)])


def skin_triangles(mesh: Float32, weight: Float32) -> Triangles:
    """Delaunay triangles (n, 3) over the moving part of the mesh and its ring, as numbers of ``with_ring`` points.

    ``mesh`` (468, 3): a mesh with the mouth open, in the face frame; ``weight`` (468,): how much each point moves. The
    lips keep all their points; the other points get sparser with the distance from the lips.
    """
    points = with_ring(mesh[:, :2])
    lips = points[list(LIPS)]
    kept = [*LIPS, *JAW, *range(MESH, len(points))]
    distance = np.linalg.norm(points[:, None] - lips[None], axis=-1).min(1)
    for number in (int(k) for k in np.argsort(distance[:MESH], kind="stable") if weight[k] > 0 or k in FIXED_POINTS):
        if np.linalg.norm(points[kept] - points[number], axis=1).min() > max(
            SPACING_SHARE * distance[number], MIN_SPACING
        ):
            kept.append(number)
    return _without_mouth(_delaunay(points, kept))


def _delaunay(points: Float32, kept: Sequence[int]) -> Triangles:
    low, high = points.min(0) - 1, points.max(0) + 1
    subdivision = cv2.Subdiv2D((0, 0, 4096, 4096))
    scaled = (points[list(kept)] - low) / (high - low).max() * 4000 + 40
    for point in scaled:
        subdivision.insert((float(point[0]), float(point[1])))
    corners = np.asarray(subdivision.getTriangleList()).reshape(-1, 3, 2)
    inside = ((corners > 0) & (corners < 4096)).all((1, 2))
    nearest = np.linalg.norm(corners[inside][:, :, None] - scaled[None, None], axis=-1).argmin(-1)
    return np.asarray(np.array(kept)[nearest], np.int32)


def _without_mouth(triangles: Triangles) -> Triangles:
    inner = np.isin(triangles, LIPS_INNER).all(1)
    return triangles[~inner]


class Raster:
    """Which triangle of the ``target`` mesh covers each pixel of ``box``, to map the pixels from any source mesh.

    ``target`` (k, 2): in pixels of the frame. ``moving`` (k,): the points that move; triangles without one are left
    out. ``step``: pixels from one node of the map to the next; more than 1 suffices away from the lips.
    """

    def __init__(self, target: Float32, triangles: Triangles, moving: NDArray[np.bool_], box: Box, step: int) -> None:
        self._target = target - np.array([box.left, box.top], np.float32)
        chosen = triangles[moving[triangles].any(1)]
        self._chosen = chosen[_inside(self._target[chosen], box)]
        self._size, self._step = (box.width, box.height), step
        self._numbers = np.zeros((-(-box.height // step), -(-box.width // step)), np.int32)
        self._paint()

    def _paint(self) -> None:
        """Paint the mouth's inside first, in wedges that follow the nearest lip, then the skin over it."""
        new = self._target
        middle = np.broadcast_to(new[_INNER].mean(0), (len(_EDGES), 1, 2))
        corners = np.concatenate([np.concatenate([new[_EDGES], middle], 1), new[self._chosen]])
        nodes = (corners - (self._step - 1) / 2) / self._step
        for number, triangle in enumerate(np.rint(nodes * (1 << SUBPIXEL_BITS)).astype(np.int32), 1):
            cv2.fillConvexPoly(self._numbers, triangle, number, cv2.LINE_8, SUBPIXEL_BITS)

    def map_from(self, source: Float32) -> Float32:
        """The position of each pixel of the box in the source, (height, width, 2): x, then y. ``source`` (k, 2)."""
        new, wedges = self._target, 1 + len(_EDGES)
        shift = np.zeros((wedges + len(self._chosen), 6), np.float32)
        edges = source[_EDGES] - new[_EDGES]
        shift[1:wedges, [2, 5]] = (edges[:, 0] + edges[:, 1]) / 2 + _lip_steps(source)
        shift[wedges:] = _affine_shift(new[self._chosen], source[self._chosen])
        terms = shift[self._numbers]
        x, y = (np.arange(n, dtype=np.float32) * self._step + (self._step - 1) / 2 for n in terms.shape[1::-1])
        source_map = terms[..., 0::3] * x[None, :, None] + terms[..., 1::3] * y[:, None, None] + terms[..., 2::3]
        if self._step > 1:
            size = (terms.shape[1] * self._step, terms.shape[0] * self._step)
            full = np.asarray(cv2.resize(source_map, size, interpolation=cv2.INTER_LINEAR), np.float32)
            source_map = full[: self._size[1], : self._size[0]]
        source_map[..., 0] += np.arange(self._size[0], dtype=np.float32)
        source_map[..., 1] += np.arange(self._size[1], dtype=np.float32)[:, None]
        return np.asarray(source_map, np.float32)


def _lip_steps(source: Float32) -> Float32:
    """For each inner lip edge (20, 2), a short step from the mouth's inside into that lip.

    A landmark that is off by a pixel would otherwise show a line of teeth or cavity between closed lips.
    """
    along = source[LIPS_INNER[10]] - source[LIPS_INNER[0]]
    down = np.array([-along[1], along[0]], np.float32) * LIP_STEP
    return np.where(np.arange(len(_EDGES))[:, None] < len(_EDGES) // 2, -down, down)


def _inside(corners: Float32, box: Box) -> NDArray[np.bool_]:
    low, high = corners.min(1), corners.max(1)
    size = np.array([box.width, box.height])
    return np.asarray(((high > -1) & (low < size)).all(1))


def _affine_shift(new: Float32, old: Float32) -> Float32:
    """Coefficients (n, 6) of the affine map from (x, y, 1) in each new triangle to old - new; triangles (n, 3, 2)."""
    (x1, y1), (x2, y2) = (new[:, 1] - new[:, 0]).T, (new[:, 2] - new[:, 0]).T
    shift = old - new
    first, second = shift[:, 1] - shift[:, 0], shift[:, 2] - shift[:, 0]
    area = x1 * y2 - x2 * y1
    longest = np.maximum(np.maximum(np.hypot(x1, y1), np.hypot(x2, y2)), np.hypot(x2 - x1, y2 - y1))
    thin = np.abs(area) < MIN_TRIANGLE_HEIGHT * longest
    inverse = np.where(thin, 0, 1 / np.where(thin, 1, area))[:, None]
    along_x = (first * y2[:, None] - second * y1[:, None]) * inverse
    along_y = (second * x1[:, None] - first * x2[:, None]) * inverse
    constant = shift[:, 0] - along_x * new[:, 0, :1] - along_y * new[:, 0, 1:]
    constant[thin] = shift[thin].sum(1) / 3
    return np.stack([along_x, along_y, constant], 2).reshape(-1, 6)
