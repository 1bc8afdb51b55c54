from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces.region import Region, region_of


def test_the_middle_of_the_view_is_the_middle_of_the_square():
    region = Region(100, 50, 64, 0.4)
    middle = region.matrix(256) @ [127.5, 127.5, 1]
    assert middle == pytest.approx([100, 50], abs=1e-3)


def test_the_view_is_as_large_as_the_square():
    matrix = Region(100, 50, 64, 0.4).matrix(256)
    across = matrix[:, :2] @ [256, 0]
    assert np.hypot(*across) == pytest.approx(64)
    assert np.arctan2(across[1], across[0]) == pytest.approx(0.4)


def test_a_moved_square_extrapolates_its_motion():
    moved = Region(10, 10, 50, np.pi - 0.1).moved(Region(8, 11, 50, -np.pi + 0.1), 2)
    assert (moved.x, moved.y) == (14, 8)
    assert np.cos(moved.angle) == pytest.approx(np.cos(np.pi - 0.5))


def test_offset_measures_shift_zoom_and_rotation():
    region = Region(10, 10, 50, 0)
    assert region.offset(region) == 0
    assert region.offset(Region(15, 10, 50, 0)) == pytest.approx(0.1)
    assert region.offset(Region(10, 10, 100, 0)) == pytest.approx(1)
    assert region.offset(Region(10, 10, 50, np.pi / 2)) == pytest.approx(0.5)


def test_the_square_rotates_with_the_face():
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (478, 3)).astype(np.float32) * [30, 40, 10]
    points[33], points[263] = [-20, -10, 0], [20, -10, 0]
    upright = region_of(points.astype(np.float32))
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    points[:, :2] = points[:, :2] @ turn.T + [200, 100]
    turned = region_of(points.astype(np.float32))
    assert turned.angle == pytest.approx(0.5, abs=1e-5)
    assert turned.side == pytest.approx(upright.side, rel=1e-4)
    assert [turned.x, turned.y] == pytest.approx(turn @ [upright.x, upright.y] + [200, 100], abs=1e-3)
