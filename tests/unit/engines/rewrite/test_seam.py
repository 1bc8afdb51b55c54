from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.mouth import UPPER, measure_lips
from lipsync.engines.rewrite.opening import seen_lips
from lipsync.engines.rewrite.seam import closed_on, darkest_path, find_seam
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER

UNIT = 150.0
LIP, SKIN, LINE = (110, 118, 158), (150, 112, 146), (55, 118, 150)


@pytest.fixture
def closed_lips(canonical):
    """A function that draws closed lips and tracks them open by ``gap``, beside the line by ``shift`` eye distances."""

    def draw(gap: float = 0.0, shift: float = 0.0, teeth: bool = False):
        closed = close_lips(canonical)
        tracked = open_lips(closed, gap)
        tracked[list(LIPS_INNER[1:10] + LIPS_INNER[11:]), 1] += shift
        there, points = ((mesh[:, :2] - closed[13, :2]) * UNIT + (80, 50) for mesh in (closed, tracked))
        patch = np.full((100, 160, 3), SKIN, np.uint8)
        cv2.fillPoly(patch, [np.rint(there[list(LIPS_OUTER)]).astype(np.int32)], LIP)
        line = np.rint(there[list(UPPER)] * 16).astype(np.int32)
        cv2.polylines(patch, [line], False, LINE, 3, cv2.LINE_AA, 4)
        if teeth:
            for x, y in np.rint(there[list(UPPER[2:-2:2])]).astype(int):
                cv2.rectangle(patch, (int(x) - 3, int(y) - 2), (int(x) + 1, int(y) + 2), (210, 124, 134), -1)
        patch = cv2.GaussianBlur(patch, (0, 0), 0.8)
        return patch, points.astype(np.float32), there.astype(np.float32)

    return draw


def found(patch, points):
    lips = measure_lips(points, UNIT)
    return find_seam(patch, lips, seen_lips(patch, points, lips)), lips


@pytest.mark.parametrize("shift", [-0.015, 0.0, 0.015])
def test_lips_tracked_beside_the_line_are_moved_onto_it(closed_lips, shift):
    patch, points, there = closed_lips(shift=shift)
    seam, lips = found(patch, points)
    assert seam is not None
    moved = closed_on(seam, points, lips)
    middle = list(UPPER[2:-2])
    assert np.abs(moved[middle, 1] - there[middle, 1]).max() < 1.2
    assert measure_lips(moved, UNIT).gap < 0.01


def test_a_gap_tracked_between_closed_lips_is_none(closed_lips):
    patch, points, _ = closed_lips(gap=0.03)
    seam, lips = found(patch, points)
    assert lips.gap > 0.02
    assert seam is not None
    assert measure_lips(closed_on(seam, points, lips), UNIT).gap < 0.01


def test_the_corners_stay(closed_lips):
    patch, points, _ = closed_lips(shift=0.01)
    seam, lips = found(patch, points)
    assert seam is not None
    corners = [UPPER[0], UPPER[-1]]
    assert (closed_on(seam, points, lips)[corners] == points[corners]).all()


def test_lips_that_are_apart_have_no_seam(closed_lips):
    patch, points, _ = closed_lips(gap=0.12)
    assert found(patch, points)[0] is None


def test_teeth_on_the_line_are_no_seam(closed_lips):
    patch, points, _ = closed_lips(teeth=True)
    assert found(patch, points)[0] is None


def test_the_darkest_path_follows_a_dark_line_and_does_not_jump():
    cost = np.ones((20, 15), np.float32)
    cost[np.arange(20), 3 + np.arange(20) // 2] = 0.2
    cost[10, 0] = 0
    path = darkest_path(cost, bend=0.02, steepest=2)
    assert path == [3 + k // 2 for k in range(20)]
