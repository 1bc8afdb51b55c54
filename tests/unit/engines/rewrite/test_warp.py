from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.engines.rewrite.warp import JAW, Raster, skin_triangles, with_ring
from lipsync.faces.geometry import LIPS_INNER, MESH
from lipsync.types import Box

BOX = Box(0, 0, 200, 200)
ALL_POINTS = np.ones(MESH + len(JAW), bool)


@pytest.fixture
def triangles(canonical):
    return skin_triangles(open_lips(canonical, 0.2), influence(canonical))


@pytest.fixture
def placed(canonical):
    """The canonical mesh with its ring, in pixels of a 200x200 box around the mouth."""
    return with_ring((canonical[:, :2] - canonical[list(LIPS_INNER), :2].mean(0)) * 150 + 100).astype(np.float32)


def test_an_unchanged_mesh_maps_every_pixel_to_itself(placed, triangles):
    where = Raster(placed, triangles, ALL_POINTS, BOX, step=1).map_from(placed)
    outside_the_mouth = np.ones((200, 200), bool)
    outside_the_mouth[80:120, 50:150] = False
    y, x = np.mgrid[:200, :200]
    assert np.abs(where[..., 0] - x)[outside_the_mouth].max() < 1e-3
    assert np.abs(where[..., 1] - y)[outside_the_mouth].max() < 1e-3


def test_a_shifted_mesh_is_read_from_its_old_position(placed, triangles):
    where = Raster(placed + 7, triangles, ALL_POINTS, BOX, step=1).map_from(placed)
    chin = placed[JAW[10]] + 7 - (0, 6)
    column, row = np.rint(chin).astype(int)
    assert where[row, column] == pytest.approx([column - 7, row - 7], abs=0.01)


def test_a_coarser_map_is_almost_the_same(placed, triangles):
    moved = placed.copy()
    moved[:MESH, 1] += 5 * np.exp(-(((placed[:MESH] - (100, 150)) / 40) ** 2).sum(1))
    fine = Raster(moved, triangles, ALL_POINTS, BOX, step=1).map_from(placed)
    coarse = Raster(moved, triangles, ALL_POINTS, BOX, step=2).map_from(placed)
    below_the_mouth = slice(135, 180), slice(70, 130)
    assert np.abs(fine - coarse)[below_the_mouth].max() < 0.3


def test_no_triangle_joins_the_lips_across_the_mouth(triangles):
    upper, lower = set(LIPS_INNER[1:10]), set(LIPS_INNER[11:])
    assert not [t for t in triangles.tolist() if upper & set(t) and lower & set(t)]


def test_the_neck_around_the_jaw_is_covered(triangles):
    assert set(range(MESH, MESH + len(JAW))) <= set(triangles.ravel().tolist())


def test_points_that_do_not_move_leave_the_map_alone(placed, triangles):
    still = np.zeros(len(placed), bool)
    where = Raster(placed, triangles, still, BOX, step=1).map_from(placed)
    assert where[5, 9] == pytest.approx([9, 5])
