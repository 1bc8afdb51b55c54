"""Warp the skin: a piecewise affine map from the target mesh back to the source frame.

The upper and lower lips belong to different triangles, and the inside of the mouth to none, so that the lips never
smear into each other. Where nothing moves, the map is the identity and the pixels keep their exact values.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import JAW, LIPS, LIPS_INNER, MESH
from lipsync.types import Box, Float32

Triangles = NDArray[np.int32]  # (n, 3) point numbers

SUBPIXEL_BITS: Final = 4  # of cv2.fillConvexPoly
MIN_TRIANGLE_HEIGHT: Final = 1.0  # pixels; lower triangles are only translated, as their gradient would be extreme
STILL_PIXELS: Final = 0.02  # a triangle that moves less stays in place
_JAW = np.array(JAW)
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
    """Which triangle of the ``target`` mesh covers each node of a grid over ``box``, to map it from any source mesh.

    ``target`` (k, 2): in pixels of the frame. ``triangles`` (n, 3): numbers of its points; later ones cover earlier
    ones. ``step``: pixels from one node to the next; the map is interpolated linearly in between. ``spare``: that many
    of the last triangles are only for ``covered_by``.
    """

    def __init__(self, target: Float32, triangles: Triangles, box: Box, step: int, spare: int = 0) -> None:
        self.box, self.step = box, step
        self._target, self._triangles = target, triangles
        self._basis = _affine_basis(target[triangles])
        self._numbers = np.zeros((-(-box.height // step), -(-box.width // step)), np.int32)
        self._paint(0, len(triangles) - spare)

    def window(self, box: Box) -> Raster:
        """The part of the raster in ``box``, whose left and top are whole steps away from those of the raster."""
        part = copy(self)
        left, top = (box.left - self.box.left) // self.step, (box.top - self.box.top) // self.step
        part.box = box
        part._numbers = self._numbers[top:, left:][: -(-box.height // self.step), : -(-box.width // self.step)]
        return part

    def covered_by(self, first: int, last: int) -> Raster:
        """A copy in which the triangles ``first`` to ``last``, excluded and counted from the end, cover the others."""
        other = copy(self)
        other._numbers = np.ascontiguousarray(self._numbers).copy()
        other._paint(len(self._triangles) + first, len(self._triangles) + last)
        return other

    def _paint(self, first: int, last: int) -> None:
        offset = np.array([self.box.left, self.box.top]) + (self.step - 1) / 2
        nodes = (self._target[self._triangles[first:last]] - offset) * ((1 << SUBPIXEL_BITS) / self.step)
        for number, triangle in enumerate(np.rint(nodes).astype(np.int32), first + 1):
            cv2.fillConvexPoly(self._numbers, triangle, number, cv2.LINE_8, SUBPIXEL_BITS)

    def grid(self) -> tuple[Float32, Float32]:
        """The x (1, columns) and y (rows, 1) of the nodes in pixels of the frame."""
        rows, columns = (np.arange(n, dtype=np.float32) * self.step + (self.step - 1) / 2 for n in self._numbers.shape)
        return columns[None] + np.float32(self.box.left), rows[:, None] + np.float32(self.box.top)

    def coefficients_from(self, source: Float32) -> Float32:
        """The affine maps (1 + n, 6) of nothing and of each triangle to its place in the source, (k, 2)."""
        shift = (source - self._target)[self._triangles]
        coefficients = np.zeros((1 + len(shift), 6), np.float32)
        coefficients[1:] = (self._basis @ shift).reshape(-1, 6)
        return coefficients

    def shifts(self, coefficients: Float32) -> Float32:
        """The distance of each node from its position in the source, (rows, columns, 2)."""
        x, y = self.grid()
        planes = []
        for by_x, by_y, constant in (coefficients.T[axis::2] for axis in (0, 1)):  # planes are faster than pairs
            shift = np.take(by_x, self._numbers) * x
            shift += np.take(by_y, self._numbers) * y
            shift += np.take(constant, self._numbers)
            planes.append(shift)
        return np.asarray(cv2.merge(planes), np.float32)

    def shifts_from(self, source: Float32) -> Float32:
        """``shifts`` of ``coefficients_from``."""
        return self.shifts(self.coefficients_from(source))

    def full_map(self, shifts: Float32, origin: tuple[int, int] = (0, 0)) -> Float32:
        """The position of each pixel in the source, (height, width, 2): x, then y. ``shifts``: those of the nodes.

        ``origin``: the pixel of the frame at which the positions are (0, 0) where nothing is shifted.
        """
        width, height = self.box.width, self.box.height
        if self.step > 1:
            size = (shifts.shape[1] * self.step, shifts.shape[0] * self.step)
            shifts = np.asarray(cv2.resize(shifts, size, interpolation=cv2.INTER_LINEAR)[:height, :width], np.float32)
        x = np.arange(self.box.left - origin[0], self.box.right - origin[0], dtype=np.float32)
        y = np.arange(self.box.top - origin[1], self.box.bottom - origin[1], dtype=np.float32)
        source_map = np.empty((height, width, 2), np.float32)
        np.add(shifts[..., 0], x, out=source_map[..., 0])
        np.add(shifts[..., 1], y[:, None], out=source_map[..., 1])
        return source_map


def _affine_basis(corners: Float32) -> Float32:
    """For triangles (n, 3, 2): the factors (n, 3, 3) of x, y and 1 in the weights of the corners at a point (x, y).

    Thin triangles weight their corners equally everywhere.
    """
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    area = opposite[:, 2, 0] * -opposite[:, 1, 1] + opposite[:, 1, 0] * opposite[:, 2, 1]
    longest = np.sqrt((opposite**2).sum(-1).max(-1))
    thin = np.abs(area) < MIN_TRIANGLE_HEIGHT * longest
    slopes = np.stack([-opposite[..., 1], opposite[..., 0]], 1) / np.where(thin, 1, area)[:, None, None]
    slopes[thin] = 0
    constant = np.float32(1 / 3) - (slopes * corners.mean(1)[..., None]).sum(1, keepdims=True)
    return np.concatenate([slopes, constant], 1).astype(np.float32)
