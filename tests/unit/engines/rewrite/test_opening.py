from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.mouth import measure_lips
from lipsync.engines.rewrite.opening import seen_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER

UNIT = 120.0
LIP, TEETH, CAVITY, SKIN = (110, 118, 158), (190, 124, 134), (30, 124, 134), (150, 112, 146)


@pytest.fixture
def shown(canonical):
    """A function that draws a mouth that is open by ``real`` and measures it with landmarks open by ``tracked``."""

    def measure(tracked: float, real: float, inside):
        there, seen = (
            (open_lips(canonical, gap)[:, :2] - canonical[13, :2]) * UNIT + (80, 50) for gap in (tracked, real)
        )
        patch = np.full((130, 160, 3), SKIN, np.uint8)
        cv2.fillPoly(patch, [np.rint(there[list(LIPS_OUTER)]).astype(np.int32)], LIP)
        cv2.fillPoly(patch, [np.rint(seen[list(LIPS_INNER)]).astype(np.int32)], inside)
        points = there.astype(np.float32)
        lips = measure_lips(points, UNIT)
        return lips, seen_lips(patch, points, lips), measure_lips(seen.astype(np.float32), UNIT)

    return measure


@pytest.mark.parametrize("inside", [TEETH, CAVITY])
def test_a_lower_lip_inside_the_tracked_gap_is_left_out(shown, inside):
    tracked, seen, real = shown(0.16, 0.09, inside)
    assert tracked.gap > 1.5 * real.gap
    assert seen.gap == pytest.approx(real.gap, abs=0.02)
    assert np.abs(seen.upper - tracked.upper).max() < 2


@pytest.mark.parametrize("inside", [TEETH, CAVITY])
def test_a_gap_that_is_tracked_well_stays(shown, inside):
    tracked, seen, _ = shown(0.15, 0.15, inside)
    assert seen.gap == pytest.approx(tracked.gap, abs=0.01)


def test_the_corners_stay(shown):
    tracked, seen, _ = shown(0.16, 0.09, TEETH)
    for before, after in ((tracked.upper, seen.upper), (tracked.lower, seen.lower)):
        assert (before[[0, -1]] == after[[0, -1]]).all()
