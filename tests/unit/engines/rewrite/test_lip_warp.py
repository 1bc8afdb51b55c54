from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.lip_warp import FLAP_TRIANGLES, FLAPS, LipSource, lip_maps, with_flaps, without_overlap
from lipsync.engines.rewrite.mattes import SAMPLES, lip_contours
from lipsync.engines.rewrite.mouth import LOWER, UPPER, measure_lips
from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.engines.rewrite.warp import Raster, skin_triangles
from lipsync.types import Box

BOX = Box(0, 0, 200, 160)
UNIT = 200.0


@pytest.fixture
def place(canonical):
    """A function that places the canonical mouth, opened by ``gap`` eye distances, in pixels of the box."""

    def mesh(gap):
        face = open_lips(close_lips(canonical), gap)[:, :2]
        return ((face - canonical[13, :2]) * UNIT + (100, 60)).astype(np.float32)

    return mesh


@pytest.fixture
def maps(canonical, place):
    """A function that returns the maps of both layers from a mouth to another."""
    triangles = np.concatenate([skin_triangles(open_lips(canonical, 0.2), influence(canonical)), FLAP_TRIANGLES])

    def pair(gap, source_gap, inset, lower_inset=None):
        raster = Raster(with_flaps(place(gap)), triangles, BOX, 1, len(FLAP_TRIANGLES))
        points = place(source_gap)
        both = (inset, inset if lower_inset is None else lower_inset)
        insets = np.repeat(np.array(both, np.float32)[:, None], SAMPLES + 1, axis=1)
        source = LipSource(with_flaps(points), lip_contours(measure_lips(points, UNIT)), insets)
        return lip_maps((raster.covered_by(-2 * FLAPS, -FLAPS), raster.covered_by(-FLAPS, 0)), source)

    return pair


def rows_at(column, points, edge):
    """The row of a lip's inner edge in a column of the box."""
    return np.interp(column, points[list(edge), 0], points[list(edge), 1])


def test_the_same_mouth_maps_to_itself(maps):
    for source_map in maps(0.1, 0.1, 0.0):
        y, x = np.mgrid[: BOX.height, : BOX.width]
        outside = slice(10, 50), slice(30, 170)
        assert np.abs(source_map[..., 0] - x)[outside].max() < 1e-2
        assert np.abs(source_map[..., 1] - y)[outside].max() < 1e-2


def test_both_sides_of_an_edge_are_read_from_its_lip(maps, place):
    upper, lower = maps(0.0, 0.15, 4.0)
    seam = round(float(rows_at(100, place(0.0), UPPER)))
    for row in range(seam - 2, seam + 3):
        assert upper[row, 100, 1] < rows_at(100, place(0.15), UPPER)
        assert lower[row, 100, 1] > rows_at(100, place(0.15), LOWER)


def test_the_inset_reads_the_edge_from_inside_the_lip(maps, place):
    seam = round(float(rows_at(100, place(0.0), UPPER)))
    (upper, _), (deeper, lower) = maps(0.0, 0.15, 0.0), maps(0.0, 0.15, 4.0)
    assert upper[seam, 100, 1] - deeper[seam, 100, 1] == pytest.approx(4, abs=1)
    assert lower[seam, 100, 1] - rows_at(100, place(0.15), LOWER) == pytest.approx(4, abs=1)
    assert np.abs(upper - deeper)[:20].max() < 0.5


def test_each_lip_has_its_own_inset(maps, place):
    seam = round(float(rows_at(100, place(0.0), UPPER)))
    (upper, lower), (same, deeper) = maps(0.0, 0.15, 2.0), maps(0.0, 0.15, 2.0, 6.0)
    assert np.abs(same - upper).max() < 1e-3
    assert deeper[seam, 100, 1] - lower[seam, 100, 1] == pytest.approx(4, abs=1)


def test_the_inset_keeps_the_order_of_the_pixels(maps):
    upper, lower = maps(0.02, 0.15, 4.0)
    assert np.diff(upper[:58, 100, 1]).min() > 0
    assert np.diff(lower[70:, 100, 1]).min() > 0


def test_pressed_lips_meet_halfway(place):
    pressed = place(0.0)
    pressed[list(LOWER[3:8]), 1] -= 6
    apart = without_overlap(pressed)
    gaps = apart[list(LOWER), 1] - apart[list(UPPER), 1]
    assert gaps.min() > -1e-3
    assert apart[14, 1] == pytest.approx((pressed[13, 1] + pressed[14, 1]) / 2, abs=0.1)
    assert (without_overlap(place(0.1)) == place(0.1)).all()
