from __future__ import annotations

import numpy as np
import pytest

from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.enhancers.upscale.tiles import blank_frame, grid, read_tile, write_tile
from lipsync.types import Colour, Frame


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (65, 130), (2160, 3840)])
def test_a_grid_covers_the_frame_with_tiles_of_one_size(height, width):
    tiles = grid(height, width, 64)
    assert tiles.tile_height % 4 == tiles.tile_width % 4 == 0
    assert tiles.tile_height <= 64
    assert tiles.tile_width <= 64
    corners = list(tiles.corners())
    assert corners[0] == (0, 0)
    assert corners[-1][0] < height <= corners[-1][0] + tiles.tile_height
    assert corners[-1][1] < width <= corners[-1][1] + tiles.tile_width


def ramp(height, width):
    """Luma and chroma that rise evenly to the right, with chroma on the even columns."""
    y = np.tile(np.arange(width, dtype=np.float32) * 2 + 20, (height, 1))
    c = np.tile(np.arange((width + 1) // 2, dtype=np.float32) * 4 + 20, ((height + 1) // 2, 1))
    return Frame(0, y.astype(np.uint8), c.astype(np.uint8), c.astype(np.uint8), 8, Colour())


def test_chroma_is_aligned_with_luma():
    tile = read_tile(ramp(20, 60), 8, 16, (8, 16), 4)
    assert np.abs(tile[..., 1] - tile[..., 0]).max() < 0.1
    for large in (Lanczos(2).upscale(ramp(20, 60)), Lanczos(4).upscale(ramp(20, 60))):
        luma, chroma = large.y[20, 40:-40:2].astype(int), large.u[10, 20:-20].astype(int)
        assert np.abs(luma - chroma[: len(luma)]).max() <= 1


def test_a_tile_can_be_read_and_written_back():
    frame, before = ramp(20, 60), ramp(20, 60)
    write_tile(frame, 8, 16, read_tile(before, 8, 16, (8, 16), 2))
    for one, other in ((frame.y, before.y), (frame.u, before.u), (frame.v, before.v)):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_tile_at_the_border_repeats_the_edge_and_is_cut_to_the_frame():
    frame = ramp(20, 60)
    tile = read_tile(frame, 16, 56, (8, 8), 2)
    assert tile.shape == (12, 12, 3)
    assert (tile[6:, 6:, 0] == frame.y[-1, -1]).all()
    other = blank_frame(frame, 1)
    write_tile(other, 16, 56, np.full((12, 12, 3), 300, np.float32))
    assert (other.y[16:, 56:] == 255).all()
    assert not other.y[:16].any()


@pytest.mark.parametrize("depth", [8, 10])
def test_a_blank_frame_keeps_depth_colour_and_odd_sizes(depth):
    frame = ramp(21, 61)
    if depth == 10:
        frame = Frame(3, *(plane.astype(np.uint16) << 2 for plane in (frame.y, frame.u, frame.v)), 10, Colour())
    large = blank_frame(frame, 2)
    assert (large.y.shape, large.u.shape, large.v.shape) == ((42, 122), (21, 61), (21, 61))
    assert (large.index, large.depth, large.colour, large.y.dtype) == (frame.index, depth, frame.colour, frame.y.dtype)
    assert not large.y.any()
