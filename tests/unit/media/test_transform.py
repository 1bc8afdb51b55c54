from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.errors import OptionInvalid
from lipsync.frames.order import loop_index
from lipsync.media.probe import probe
from lipsync.media.reader import loop, ping_pong, read
from lipsync.media.transform import transformed


@pytest.fixture
def footage(tmp_path, make_video):
    return probe(make_video(tmp_path / "a.mp4", frames=5, size=(192, 96)))


def test_nothing_asked_for_changes_nothing(footage):
    assert transformed(footage) is footage


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize("shrink", [2, 3])
def test_pictures_become_smaller(footage, shrink, nearest):
    small = transformed(footage, resize_factor=shrink, nearest=nearest)
    assert (small.video.width, small.video.height) == (192 // shrink, 96 // shrink)
    large, little = next(read(footage)), next(read(small))
    how = cv2.INTER_LINEAR if nearest else cv2.INTER_AREA
    assert (little.y == cv2.resize(large.y, (192 // shrink, 96 // shrink), interpolation=how)).all()
    assert little.u.shape == (-(-96 // shrink // 2), -(-192 // shrink // 2))


def test_pictures_are_turned_clockwise(footage):
    turned = transformed(footage, rotated=True)
    assert (turned.video.width, turned.video.height) == (96, 192)
    assert (next(read(turned)).y == cv2.rotate(next(read(footage)).y, cv2.ROTATE_90_CLOCKWISE)).all()


@pytest.mark.parametrize("crop", [(10, 90, 20, 120), (11, -1, 33, 140), (0, 51, 3, -1)])
def test_pictures_are_cut(footage, crop):
    cut = transformed(footage, crop=crop)
    whole, part = next(read(footage)), next(read(cut))
    top, bottom, left, right = crop
    rows, columns = slice(top, None if bottom < 0 else bottom), slice(left, None if right < 0 else right)
    assert (part.y == whole.y[rows, columns]).all()
    assert part.y.shape == (cut.video.height, cut.video.width)
    assert part.u.shape == tuple((n + 1) // 2 for n in part.y.shape)


def test_all_of_it_in_the_original_order(footage):
    both = transformed(footage, resize_factor=2, rotated=True, crop=(4, 80, 2, 44))
    assert (both.video.width, both.video.height) == (42, 76)
    expected = np.rot90(cv2.resize(next(read(footage)).y, (96, 48), interpolation=cv2.INTER_AREA), -1)[4:80, 2:44]
    assert (next(read(both)).y == expected).all()


def test_colours_stay_with_their_place_when_cut_at_an_odd_pixel(tmp_path, save_photo):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :33] = (200, 30, 30)
    pixels[:, 33:] = (30, 30, 200)
    cut = transformed(probe(save_photo(tmp_path / "a.png", pixels)), crop=(1, 61, 1, 63))
    (picture,) = read(cut)
    assert abs(int(picture.v[10, 5]) - int(picture.v[10, 14])) < 4
    assert int(picture.v[10, 14]) > int(picture.v[10, 17]) + 60


def test_wide_pixels_become_tall_ones(footage):
    from dataclasses import replace

    wide = replace(footage, video=replace(footage.video, sample_aspect=Fraction(4, 3)))
    assert transformed(wide, rotated=True).video.sample_aspect == Fraction(3, 4)


def test_smaller_pictures_keep_the_colours_of_large_ones_that_do_not_name_theirs(tmp_path, make_video):
    large = probe(make_video(tmp_path / "hd.mp4", frames=2, size=(960, 720)))
    assert large.video.colour.matrix == 2
    assert transformed(large, resize_factor=2).video.colour.matrix == 1
    assert transformed(large, resize_factor=2, nearest=True).video.colour.matrix == 2
    assert transformed(probe(make_video(tmp_path / "sd.mp4", frames=2)), resize_factor=2).video.colour.matrix == 2


@pytest.mark.parametrize("crop", [(50, 40, 0, -1), (0, 97, 0, -1), (-2, -1, 0, -1), (0, 20, 0, -1)])
def test_a_crop_that_does_not_fit_is_told(footage, crop):
    with pytest.raises(OptionInvalid):
        transformed(footage, crop=crop)


def test_footage_begins_anew(footage, number_of):
    assert [loop_index(i, 5) for i in range(7)] == [0, 1, 2, 3, 4, 0, 1]
    assert [number_of(p.y) for p in loop(footage, 12, 5)] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [p.index for p in loop(footage, 3, 1)] == [0, 0, 0]
    assert [number_of(p.y) for p in ping_pong(transformed(footage, resize_factor=2), 7, 5)] == [0, 1, 2, 3, 4, 3, 2]
