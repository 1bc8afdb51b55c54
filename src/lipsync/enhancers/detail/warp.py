"""Warp the source frame's skin and lips to a generated mouth of another shape.

Two regularized thin-plate splines (Bookstein, "Principal Warps", IEEE PAMI 11(6), 1989): one for the parts that move
with the upper lip and one for those that move with the lower lip, so that the lips are never mixed.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, eye_distance
from lipsync.types import Box, Float32

UPPER_LIP: Final = (*LIPS_OUTER[:11], *LIPS_INNER[:11])
LOWER_LIP: Final = (*LIPS_OUTER[10:], LIPS_OUTER[0], *LIPS_INNER[10:], LIPS_INNER[0])
CHEEKS: Final = (205, 425, 2, 98, 327, 50, 280, 187, 411, 132, 361)
CHIN: Final = (152, 148, 377, 150, 379, 18, 200, 199, 204, 424, 211, 431, 172, 397, 136, 365)
REGULARIZATION = 2e-3  # the landmarks are noisy
GRID_STEP = 0.06  # eye distances between evaluations of the splines
FAN_SLOPE = 0.7  # of the line beside a corner of the mouth above which all moves with the upper lip
FAR = 5.0  # eye distances: outside any face


def unit_of(mesh: Float32) -> float:
    """Return the distance between the outer corners of the eyes of a mesh (468, 2), at least one pixel."""
    return max(1.0, eye_distance(mesh))


def source_map(generated: Float32, source: Float32, box: Box) -> Float32:
    """Return the source coordinates of each pixel of the box: (h, w, 2), x then y, in pixels of the box.

    ``generated``, ``source``: meshes (468, 2) of the frame with the new mouth and of the source frame.
    """
    unit, size = unit_of(source), (box.width, box.height)
    step = max(2, round(GRID_STEP * unit))
    rows, columns = box.height // step + 2, box.width // step + 2
    down, across = np.mgrid[:rows, :columns].astype(np.float64) * step + (step - 1) / 2
    nodes = np.stack([across + box.left, down + box.top], -1).reshape(-1, 2)
    maps = []
    for side in ((*UPPER_LIP, *CHEEKS), (*LOWER_LIP, *CHEEKS, *CHIN)):
        points = generated[list(side)].astype(np.float64)
        coarse = _spline(points / unit, (source - generated)[list(side)].astype(np.float64), nodes / unit)
        grid = coarse.reshape(rows, columns, 2).astype(np.float32)
        full = cv2.resize(grid, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
        maps.append(full[: size[1], : size[0]])
    share = _upper_share(generated, box, unit)[..., None]
    coordinates = share * maps[0] + (1 - share) * maps[1]
    coordinates[..., 0] += np.arange(size[0], dtype=np.float32)
    coordinates[..., 1] += np.arange(size[1], dtype=np.float32)[:, None]
    return np.asarray(coordinates, np.float32)


def _spline(points: NDArray[np.float64], values: NDArray[np.float64], nodes: NDArray[np.float64]) -> Float32:
    """Interpolate values (k, 2) at ``points`` (k, 2) to ``nodes`` (n, 2); return (n, 2)."""
    centre, count = points.mean(0), len(points)
    at, to = points - centre, nodes - centre
    affine = np.column_stack([np.ones(count), at])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(at, at) + REGULARIZATION * np.eye(count)
    system[:count, count:], system[count:, :count] = affine, affine.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    bent = _kernel(to, at) @ weights[:count]
    return np.asarray(bent + weights[count] + to @ weights[count + 1 :], np.float32)


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = np.square(a[:, None, 0] - b[None, :, 0]) + np.square(a[:, None, 1] - b[None, :, 1])
    return np.asarray(0.5 * squared * np.log(squared + 1e-12))


def _upper_share(mesh: Float32, box: Box, unit: float) -> Float32:
    """Return how much each pixel of the box moves with the upper lip: 1 above the line between the lips, 0 below.

    Beside the corners of the mouth the transition widens like a fan, so that no line is visible in the cheeks.
    """
    inner = np.array(LIPS_INNER)
    corners = mesh[[LIPS_OUTER[0], LIPS_OUTER[10]]]
    line = (mesh[inner[:11]] + mesh[np.roll(inner[::-1], 1)[:11]]) / 2
    along = (corners[1] - corners[0]) / max(1e-3, float(np.linalg.norm(corners[1] - corners[0])))
    up, far = np.array([along[1], -along[0]]), FAR * unit
    ends = (
        [corners[0] + far * (up - along), corners[0] - far * along, corners[0]],
        [corners[1], corners[1] + far * along],
    )
    above = polygon_mask(np.concatenate([ends[0], line, ends[1], [corners[1] + far * (along + up)]]), box) > 0
    left, right = (_offsets_from(corner, along, up, box) for corner in corners)
    beyond, height = (np.where(left[0] < 0, -left[0], right[0]), np.where(left[0] < 0, left[1], right[1]))
    fan = np.clip(0.5 + height / (2 * FAN_SLOPE * np.maximum(beyond, 1e-3)), 0, 1)
    return np.asarray(np.where(beyond > 0, fan, above), np.float32)


def _offsets_from(corner: Float32, along: Float32, up: Float32, box: Box) -> tuple[Float32, Float32]:
    """Return the offset of each pixel of the box along each of two directions, both (h, w)."""
    across = np.arange(box.left, box.right, dtype=np.float32) - corner[0]
    down = np.arange(box.top, box.bottom, dtype=np.float32)[:, None] - corner[1]
    return across * along[0] + down * along[1], across * up[0] + down * up[1]


def polygon_mask(outline: NDArray[np.floating], box: Box) -> NDArray[np.uint8]:
    """Fill a closed outline (n, 2), in pixels of the frame, in the box: (h, w), 255 inside."""
    mask = np.zeros((box.height, box.width), np.uint8)
    cv2.fillPoly(mask, [np.rint((outline - [box.left, box.top]) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    return mask
