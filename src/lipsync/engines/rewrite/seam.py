"""The line at which closed lips meet, as an image shows it.

Landmarks of a closed mouth may leave a gap between the lips, or run beside the line where they touch. An edge that is
warped from there would cut the line off, so that the closed lips of a result look smooth and half open. The line is the
darkest path from corner to corner, found by dynamic programming (Amini, Weymouth and Jain, "Using dynamic programming
for solving variational problems in vision", PAMI 12(9), 1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.mouth import LOWER, LOWER_SIDE, UPPER, UPPER_SIDE, Lips
from lipsync.frames.patch import remap
from lipsync.types import Float32, Plane

MOST_TRACKED: Final = 0.04  # eye distances between tracked lips that are taken for closed ones
MOST_SEEN: Final = 0.035  # eye distances that the image may show between them: the width of the dark line itself
REACH: Final = 0.02  # eye distances beyond the lips' edges within which the line is looked for
COLUMNS: Final = 41  # of the search, from corner to corner
STEP: Final = 0.5  # pixels from one row of the search to the next
STEEPEST: Final = 3  # rows by which the line may rise or fall from one column to the next
BEND_COST, ASIDE_COST = 0.02, 0.06  # of the lips' luma: per row of rise; at the end of the reach, from the middle
ROUGHEST: Final = 0.026  # of the lips' luma, about their course along the line: more means teeth or gaps on it
ROUGH_SPAN: Final = 2.0  # columns: sigma of that course
BESIDE: Final = np.linspace(-0.02, 0.02, 5, dtype=np.float32)  # eye distances: lines on which the roughness is measured
HALF_CONTACT: Final = 0.001  # eye distances that each edge is from the line


@dataclass(frozen=True, slots=True)
class Seam:
    """``position`` (COLUMNS,) along the mouth, 0..1, and ``height`` (COLUMNS,) below the line between the corners."""

    position: Float32
    height: Float32


def find_seam(patch: Plane, lips: Lips, seen: Lips, most_tracked: float = MOST_TRACKED) -> Seam | None:
    """The line at which the lips of ``patch`` (h, w, 3), Y'CbCr, touch; None if they are apart, or teeth show there.

    ``lips``: as tracked; ``seen``: the opening that the image shows, see ``opening``. ``most_tracked``: eye distances
    between tracked lips that may be closed.
    """
    if lips.gap > most_tracked or seen.gap > MOST_SEEN:
        return None
    position = np.linspace(0, 1, COLUMNS, dtype=np.float32)
    edges = np.stack([seen.height(position, side) for side in (UPPER_SIDE, LOWER_SIDE)])
    middle, half = edges.mean(0), np.maximum(np.diff(edges, axis=0)[0] / 2, 0)
    reach = REACH * lips.unit + float(half.max())
    rows = np.arange(-reach, reach + STEP, STEP, dtype=np.float32)
    heights = middle[:, None] + rows
    places = lips.points(position[:, None], heights)
    luma = np.asarray(remap(patch, places), np.float32)[..., 0]
    cost = luma / max(float(luma.mean()), 1.0) + ASIDE_COST * (rows / reach) ** 2
    cost[[0, -1]] += np.abs(heights[[0, -1]]) > STEP  # the corners stay
    path = darkest_path(cost, BEND_COST, STEEPEST)
    height = heights[np.arange(COLUMNS), path]
    height[[0, -1]] = 0
    seam = Seam(position, _smooth(height))
    return seam if _roughness(patch, lips, seam) <= ROUGHEST else None


def _roughness(patch: Plane, lips: Lips, seam: Seam) -> float:
    """The mean deviation of the luma along the seam from its own smooth course, as a share of the luma."""
    inner = slice(3, -3)
    heights = seam.height[inner, None] + BESIDE * np.float32(lips.unit)
    places = lips.points(seam.position[inner, None], heights)
    luma = np.ascontiguousarray(np.asarray(remap(patch, places), np.float32)[..., 0])
    course = cv2.GaussianBlur(luma, (1, 2 * round(3 * ROUGH_SPAN) + 1), ROUGH_SPAN, borderType=cv2.BORDER_REFLECT)
    return float(np.abs(luma - course).mean() / max(float(luma.mean()), 1.0))


def darkest_path(cost: Float32, bend: float, steepest: int) -> list[int]:
    """The row for each column of ``cost`` (columns, rows) with the least sum of costs, and of ``bend`` per row of rise.

    ``steepest``: rows between neighbours, at most.
    """
    count = cost.shape[1]
    steps = np.arange(-steepest, steepest + 1)
    before = np.arange(count)[:, None] + steps
    outside = (before < 0) | (before >= count)
    before = before.clip(0, count - 1)
    price = bend * np.abs(steps) + np.where(outside, np.inf, 0)
    total, origins = cost[0], np.zeros(cost.shape, np.int64)
    for column in range(1, len(cost)):
        choices = total[before] + price
        best = choices.argmin(1)
        origins[column] = before[np.arange(count), best]
        total = choices[np.arange(count), best] + cost[column]
    path = [int(total.argmin())]
    for column in range(len(cost) - 1, 0, -1):
        path.append(int(origins[column, path[-1]]))
    return path[::-1]


def closed_on(seam: Seam, points: Float32, lips: Lips) -> Float32:
    """The mesh ``points`` (468, 2) in pixels with the inner edges of both lips on the ``seam``."""
    moved = points.copy()
    for numbers, sign in ((UPPER, -1), (LOWER, 1)):
        inner = list(numbers[1:-1])
        position, _ = lips.coordinates(points[inner])
        height = np.interp(position, seam.position, seam.height) + sign * HALF_CONTACT * lips.unit
        moved[inner] = lips.points(position, height)
    return moved


def _smooth(height: Float32) -> Float32:
    padded = np.pad(height, 2, mode="reflect", reflect_type="odd")
    weights = np.array([1, 4, 6, 4, 1], np.float32) / 16
    return np.asarray(np.convolve(padded, weights, mode="valid"), np.float32)
