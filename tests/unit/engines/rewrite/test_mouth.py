from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.mouth import Mouth, measure_lips, warp_inside
from lipsync.engines.rewrite.shape import open_lips
from lipsync.frames.blend import outline_mask
from lipsync.types import Box

UNIT = 150.0
BOX = Box(0, 0, 160, 120)
DARK = np.array([16, 128, 128], np.float32)


@pytest.fixture
def points(canonical):
    """A mouth that is open by 0.2 eye distances, in pixels of the box."""
    mesh = open_lips(canonical, 0.2)[:, :2]
    return ((mesh - mesh[[78, 308]].mean(0)) * UNIT + (80, 45)).astype(np.float32)


@pytest.fixture
def patch():
    y, x = np.mgrid[:120, :160]
    return np.stack([60 + x + y / 2, 120 + x / 20, 130 + y / 20], -1).astype(np.uint8)


def test_lips_are_measured_in_their_own_frame(points):
    lips = measure_lips(points, UNIT)
    assert lips.gap == pytest.approx(0.2, abs=0.03)
    assert lips.upper[0, 0] == 0
    assert lips.upper[-1, 0] == pytest.approx(1)
    assert (lips.lower[3:8, 1] > lips.upper[3:8, 1]).all()


def test_a_donor_fits_its_own_lips_unchanged(points, patch):
    lips = measure_lips(points, UNIT)
    warped, opacity = warp_inside(Mouth(patch, lips, points), lips, BOX, DARK)
    inside = outline_mask(points[[82, 13, 312, 317, 14, 87]], BOX, 0.5) > 0.99
    assert opacity == 1
    assert inside.sum() > 100
    assert np.abs(warped - patch)[inside].max() < 2


def test_closed_lips_hide_the_inside(canonical, points, patch):
    donor = Mouth(patch, measure_lips(points, UNIT), points)
    shut = measure_lips(((canonical[:, :2] - canonical[13, :2]) * UNIT + (80, 45)).astype(np.float32) * (1, 0.0), UNIT)
    assert warp_inside(donor, shut, BOX, DARK)[1] == 0


def test_a_donor_that_is_much_less_open_gets_a_dark_middle(canonical, points, patch):
    narrow = open_lips(canonical, 0.06)[:, :2]
    narrow = ((narrow - narrow[[78, 308]].mean(0)) * UNIT + (80, 45)).astype(np.float32)
    lips = measure_lips(points, UNIT)
    inside, _ = warp_inside(Mouth(patch, measure_lips(narrow, UNIT), narrow), lips, BOX, DARK)
    row = int(points[[13, 14], 1].mean())
    assert inside[row, 80, 0] < 60


@pytest.mark.parametrize(("gap", "brightness"), [(0.012, (60, 130)), (0.02, (130, 195)), (0.06, (199, 200))])
def test_a_narrow_gap_is_darker_than_the_donor(canonical, gap, brightness):
    mesh = open_lips(close_lips(canonical), gap)[:, :2]
    points = ((mesh - mesh[[78, 308]].mean(0)) * UNIT + (80, 45)).astype(np.float32)
    lips = measure_lips(points, UNIT)
    bright = np.full((120, 160, 3), 200, np.uint8)
    inside, opacity = warp_inside(Mouth(bright, lips, points), lips, BOX, DARK)
    row, column = np.rint(points[[13, 14]].mean(0)[::-1]).astype(int)
    assert opacity > 0
    assert brightness[0] <= inside[row, column, 0] <= brightness[1]


def test_a_mask_is_one_inside_and_zero_outside():
    mask = outline_mask(np.array([[20, 20], [100, 20], [100, 90], [20, 90]], np.float32), BOX, 1.0)
    assert mask[50, 60] == 1
    assert mask[5, 5] == 0
    assert mask[115, 150] == 0
