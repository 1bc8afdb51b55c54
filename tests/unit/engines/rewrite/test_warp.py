from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.engines.rewrite.warp import JAW, Raster, skin_triangles, with_ring
from lipsync.faces.geometry import LIPS_INNER, MESH
from lipsync.types import Box

BOX = Box(0, 0, 200, 200)


@pytest.fixture
def triangles(canonical):
    return skin_triangles(open_lips(canonical, 0.2), influence(canonical))


@pytest.fixture
def placed(canonical):
    """The canonical mesh with its ring, in pixels of a 200x200 box around the mouth."""
    return with_ring((canonical[:, :2] - canonical[list(LIPS_INNER), :2].mean(0)) * 150 + 100).astype(np.float32)


def mapped(target, triangles, source, step=1):
    raster = Raster(target, triangles, BOX, step)
    return raster.full_map(raster.shifts_from(source))


def test_an_unchanged_mesh_maps_every_pixel_to_itself(placed, triangles):
    where = mapped(placed, triangles, placed)
    outside_the_mouth = np.ones((200, 200), bool)
    outside_the_mouth[80:120, 50:150] = False
    y, x = np.mgrid[:200, :200]
    assert np.abs(where[..., 0] - x)[outside_the_mouth].max() < 1e-3
    assert np.abs(where[..., 1] - y)[outside_the_mouth].max() < 1e-3


def test_a_shifted_mesh_is_read_from_its_old_position(placed, triangles):
    where = mapped(placed + 7, triangles, placed)
    chin = placed[JAW[10]] + 7 - (0, 6)
    column, row = np.rint(chin).astype(int)
    assert where[row, column] == pytest.approx([column - 7, row - 7], abs=0.01)


def test_a_coarser_map_is_almost_the_same(placed, triangles):
    moved = placed.copy()
    moved[:MESH, 1] += 5 * np.exp(-(((placed[:MESH] - (100, 150)) / 40) ** 2).sum(1))
    fine = mapped(moved, triangles, placed)
    coarse = mapped(moved, triangles, placed, step=2)
    below_the_mouth = slice(135, 180), slice(70, 130)
    assert np.abs(fine - coarse)[below_the_mouth].max() < 0.3


def test_no_triangle_joins_the_lips_across_the_mouth(triangles):
    upper, lower = set(LIPS_INNER[1:10]), set(LIPS_INNER[11:])
    assert not [t for t in triangles.tolist() if upper & set(t) and lower & set(t)]


def test_the_neck_around_the_jaw_is_covered(triangles):
    assert set(range(MESH, MESH + len(JAW))) <= set(triangles.ravel().tolist())


def test_pixels_outside_all_triangles_keep_their_position(placed, triangles):
    where = mapped(placed, triangles[:0], placed)
    assert where[5, 9] == pytest.approx([9, 5])


def test_a_window_maps_as_the_whole(placed, triangles):
    moved = placed.copy()
    moved[:MESH, 1] += 5
    raster = Raster(moved, triangles, BOX, 4)
    part = raster.window(Box(40, 80, 140, 180))
    whole, window = (r.full_map(r.shifts_from(placed)) for r in (raster, part))
    inner = slice(4, 90), slice(4, 90)
    assert window[inner] == pytest.approx(whole[80:180, 40:140][inner], abs=1e-3)


def test_positions_count_from_the_origin(placed, triangles):
    raster = Raster(placed, triangles, BOX, 1)
    assert raster.full_map(raster.shifts_from(placed), (20, 10))[12, 21] == pytest.approx([1, 2], abs=1e-3)


def test_spare_triangles_are_used_on_top_only(placed, triangles):
    corners = np.array([[10, 10], [60, 10], [10, 60]], np.float32)
    target = np.concatenate([placed, corners])
    source = np.concatenate([placed, corners + np.array([0, 5])]).astype(np.float32)
    spare = np.array([[len(placed), len(placed) + 1, len(placed) + 2]], np.int32)
    raster = Raster(target, np.concatenate([triangles, spare]), BOX, 1, spare=1)
    assert raster.shifts_from(source)[20, 20] == pytest.approx([0, 0], abs=1e-3)
    assert raster.covered_by(-1, 0).shifts_from(source)[20, 20] == pytest.approx([0, 5], abs=1e-3)
