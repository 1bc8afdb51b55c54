"""Moving the skin: a piecewise affine map from the target mesh back to the frame it is cut from.

Upper and lower lip belong to different triangles and the mouth's inside to none, so that lips never smear into each
other. Where nothing moves the map is the identity and the picture stays as it is, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import LIPS_INNER
from lipsync.media.patch import Box
from lipsync.types import Float32

Triangles = NDArray[np.int32]  # (n, 3) point numbers

SUBPIXEL_BITS = 4
THIN = 1.0  # pixels: a lower triangle is moved as one piece, for its slope would reach far outside of it
STILL = 0.02  # pixels: a triangle that moves less keeps its place
# The jaw's outline from ear to ear; a second ring outside it stays where it is, so that the neck follows softly.
JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
_INNER_EDGES = tuple(pairwise((*LIPS_INNER, LIPS_INNER[0])))
RING_REACH = 0.45  # of the way from the mesh's middle to the jaw, added outside it


@dataclass(frozen=True, slots=True)
class PixelMap:
    """Where each pixel of a box comes from: ``x`` and ``y`` (height, width) float32, in pixels of the box."""

    x: Float32
    y: Float32


def with_ring(points: Float32) -> Float32:
    """Mesh points (468, 2) with the outer ring below them appended: (468 + 21, 2)."""
    jaw = points[list(JAW)]
    middle = points[[1, 152, 10]].mean(0)
    return np.asarray(np.concatenate([points, jaw + RING_REACH * (jaw - middle)]), np.float32)


def ring_triangles(first: int) -> Triangles:
    """Triangles between the jaw and the ring whose first point has number ``first``."""
    pairs = list(pairwise(range(len(JAW))))
    inner = [(JAW[a], JAW[b], first + a) for a, b in pairs]
    outer = [(JAW[b], first + b, first + a) for a, b in pairs]
    return np.asarray(inner + outer, np.int32)


class Raster:
    """Which triangle of the ``target`` mesh lies over each pixel of ``box``; any source can then be asked for its map.

    ``target`` (k, 2) in pixels of the picture. Triangles whose points all keep their place are left out, ``moving``
    (k,) tells which do not.
    """

    def __init__(self, target: Float32, triangles: Triangles, moving: NDArray[np.bool_], box: Box) -> None:
        self._target = target - np.array([box.left, box.top], np.float32)
        chosen = triangles[moving[triangles].any(1)]
        self._chosen = chosen[_inside(self._target[chosen], box)]
        self._numbers = np.zeros((box.height, box.width), np.int32)
        self._paint()

    def _paint(self) -> None:
        """The mouth's inside first, in wedges that follow the nearest lip; then the skin over it."""
        new, middle = self._target, self._target[list(LIPS_INNER)].mean(0)
        wedges = [np.stack([new[a], new[b], middle]) for a, b in _INNER_EDGES]
        corners = np.concatenate([np.stack(wedges), new[self._chosen]])
        for number, triangle in enumerate(np.rint(corners * (1 << SUBPIXEL_BITS)).astype(np.int32), 1):
            cv2.fillConvexPoly(self._numbers, triangle, number, cv2.LINE_8, SUBPIXEL_BITS)

    def map_from(self, source: Float32, rows: slice = slice(None), columns: slice = slice(None)) -> PixelMap:
        """Where each pixel of the box, or of a part of it, comes from in the ``source`` mesh (k, 2)."""
        new = self._target
        wedge = np.zeros((len(LIPS_INNER), 2, 3), np.float32)
        edge = np.array(_INNER_EDGES)
        wedge[:, :, 2] = (source[edge] - new[edge]).mean(1)
        shift = np.concatenate([np.zeros((1, 2, 3), np.float32), wedge, _shift_of(new[self._chosen], source[self._chosen])])
        return _evaluate(self._numbers, shift, rows, columns)


def _inside(corners: Float32, box: Box) -> NDArray[np.bool_]:
    low, high = corners.min(1), corners.max(1)
    size = np.array([box.width, box.height])
    return np.asarray(((high > -1) & (low < size)).all(1))


def _shift_of(new: Float32, old: Float32) -> Float32:
    """Per triangle the (2, 3) matrix that gives old - new as a function of (x, y, 1) in the new geometry."""
    edges = np.stack([new[:, 1] - new[:, 0], new[:, 2] - new[:, 0]], 2).astype(np.float64)
    move = (old - new).astype(np.float64)
    change = np.stack([move[:, 1] - move[:, 0], move[:, 2] - move[:, 0]], 2)
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    longest = np.linalg.norm(new - np.roll(new, 1, 1), axis=2).max(1)
    thin = np.abs(area) < THIN * longest
    edges[thin], change[thin] = np.eye(2), 0
    slope = change @ np.linalg.inv(edges)
    constant = move[:, 0] - (slope @ new[:, 0, :, None].astype(np.float64))[..., 0]
    constant[thin] = move[thin].mean(1)
    return np.asarray(np.concatenate([slope, constant[..., None]], 2), np.float32)


def _evaluate(numbers: NDArray[np.int32], shift: Float32, rows: slice, columns: slice) -> PixelMap:
    x = np.arange(numbers.shape[1], dtype=np.float32)[None, columns]
    y = np.arange(numbers.shape[0], dtype=np.float32)[rows, None]
    part = numbers[rows, columns]
    flat = shift.reshape(-1, 6)
    a, b, c, d, e, f = (flat[:, k][part] for k in range(6))
    return PixelMap(x + a * x + b * y + c, y + d * x + e * y + f)
