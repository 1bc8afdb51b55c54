from __future__ import annotations

import numpy as np
import pytest

from lipsync.frames.rgb import letterbox_rgb, luma_thumbnail, rgb_matrix, warp_rgb
from lipsync.types import Box, Colour, Frame

IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def flat(
    y: int, u: int, v: int, depth: int = 8, colour: Colour | None = None, size: tuple[int, int] = (64, 48)
) -> Frame:
    kind = np.uint8 if depth == 8 else np.uint16
    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    planes = np.full((height, width), y, kind), np.full(half, u, kind), np.full(half, v, kind)
    return Frame(0, *planes, depth, colour or Colour())


# Pure red and mid grey, from the equations of the standards.
@pytest.mark.parametrize(
    ("matrix", "values", "rgb"),
    [
        (6, (81, 90, 240), (1, 0, 0)),
        (1, (63, 102, 240), (1, 0, 0)),
        (9, (74, 97, 240), (1, 0, 0)),
        (1, (126, 128, 128), (0.5, 0.5, 0.5)),
        (6, (235, 128, 128), (1, 1, 1)),
        (6, (16, 128, 128), (0, 0, 0)),
    ],
)
def test_colours_come_out_by_their_tags(matrix, values, rgb):
    view = warp_rgb(flat(*values, colour=Colour(matrix=matrix)), IDENTITY, (8, 8))
    assert view.shape == (8, 8, 3)
    assert view.dtype == np.float32
    assert view[4, 4] == pytest.approx(rgb, abs=0.01)


def test_ten_bits_and_full_range_mean_the_same_colours():
    small = warp_rgb(flat(81, 90, 240, colour=Colour(6)), IDENTITY, (4, 4))
    assert warp_rgb(flat(324, 360, 960, 10, Colour(6)), IDENTITY, (4, 4)) == pytest.approx(small, abs=0.005)
    white = warp_rgb(flat(255, 128, 128, colour=Colour(6, full_range=True)), IDENTITY, (4, 4))
    assert white == pytest.approx(np.ones((4, 4, 3)), abs=0.001)


def test_untagged_frames_are_bt709_from_720_lines_on():
    assert np.array_equal(rgb_matrix(Colour(), 720, 8), rgb_matrix(Colour(1), 720, 8))
    assert np.array_equal(rgb_matrix(Colour(), 576, 8), rgb_matrix(Colour(6), 576, 8))


def test_the_outside_is_black():
    away = np.array([[1, 0, -100], [0, 1, -100]], np.float32)
    assert warp_rgb(flat(200, 90, 200), away, (8, 8)).max() < 0.01


def test_a_view_shows_the_pixel_that_its_matrix_points_to():
    frame = flat(16, 128, 128)
    frame.y[20, 31] = 235
    view = warp_rgb(frame, np.array([[0.5, 0, 28], [0, 0.5, 18]], np.float32), (12, 12))
    assert np.unravel_index(view[..., 1].argmax(), (12, 12)) == (4, 6)


def test_chroma_samples_sit_on_even_columns_and_between_rows():
    frame = flat(126, 128, 128, colour=Colour(6))
    frame.v[:] = np.arange(32)[None] * 4 + 64
    view = warp_rgb(frame, IDENTITY, (64, 48))
    across = (view[20, :, 0] - 0.5) * 224 / 1.402
    assert across[20] == pytest.approx(20 / 2 * 4 + 64 - 128, abs=1.5)
    assert across[21] == pytest.approx(21 / 2 * 4 + 64 - 128, abs=1.5)
    frame.v[:] = np.arange(24)[:, None] * 4 + 80
    down = (warp_rgb(frame, IDENTITY, (64, 48))[:, 20, 0] - 0.5) * 224 / 1.402
    assert down[20] == pytest.approx((20 - 0.5) / 2 * 4 + 80 - 128, abs=1.5)


def test_fine_texture_is_averaged_when_a_view_shrinks():
    frame = flat(16, 128, 128, size=(512, 512))
    frame.y[::2, ::2] = 235
    frame.y[1::2, 1::2] = 235
    view = warp_rgb(frame, np.array([[4.1, 0, 3], [0, 4.1, 3]], np.float32), (100, 100))
    assert view[5:-5, 5:-5].std() < 0.02
    assert view[50, 50] == pytest.approx([0.5] * 3, abs=0.03)


def test_a_shrunk_view_keeps_its_place():
    frame = flat(16, 128, 128, size=(512, 512))
    frame.y[300:316, 200:216] = 235
    matrix = np.array([[4.0, 0, 1.5], [0, 4.0, 1.5]], np.float32)
    view = warp_rgb(frame, matrix, (128, 128))[..., 1]
    rows, columns = np.nonzero(view > 0.5)
    assert matrix @ [columns.mean(), rows.mean(), 1] == pytest.approx([207.5, 307.5], abs=0.3)


def test_a_frame_is_letterboxed_into_a_square():
    view, matrix = letterbox_rgb(flat(235, 128, 128, size=(320, 180)), 64)
    assert view.shape == (64, 64, 3)
    bright = np.flatnonzero(view[:, 32, 0] > 0.5)
    assert (bright[0], bright[-1]) == (14, 49)
    assert matrix @ [31.5, 31.5, 1] == pytest.approx([159.5, 89.5], abs=0.01)


def test_a_box_of_a_frame_is_mapped_to_its_position():
    frame = flat(16, 128, 128, size=(320, 180))
    frame.y[100:104, 210:214] = 235
    view, matrix = letterbox_rgb(frame, 64, Box(161, 61, 289, 179))
    peak = np.unravel_index(view[..., 0].argmax(), (64, 64))
    assert matrix @ [peak[1], peak[0], 1] == pytest.approx([211.5, 101.5], abs=1.5)


def test_odd_sizes_are_supported():
    frame = flat(126, 128, 128, size=(33, 17))
    assert warp_rgb(frame, IDENTITY, (33, 17)).shape == (17, 33, 3)
    assert letterbox_rgb(frame, 16)[0].shape == (16, 16, 3)
    assert luma_thumbnail(frame).shape == (32, 32)


def test_a_thumbnail_is_in_eight_bit_values_at_any_depth():
    assert luma_thumbnail(flat(100, 128, 128)) == pytest.approx(np.full((32, 32), 100))
    assert luma_thumbnail(flat(400, 512, 512, 10, size=(1920, 1080))) == pytest.approx(np.full((32, 32), 100))
