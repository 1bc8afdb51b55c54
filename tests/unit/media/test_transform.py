from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.errors import OptionInvalid
from lipsync.media.probe import probe
from lipsync.media.reader import loop, ping_pong, read
from lipsync.media.transform import transformed


@pytest.fixture
def clip(tmp_path, make_video):
    return probe(make_video(tmp_path / "a.mp4", frames=5, size=(192, 96)))


def test_without_options_the_clip_is_unchanged(clip):
    assert transformed(clip) is clip


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize("factor", [2, 3])
def test_frames_are_downscaled(clip, factor, nearest):
    small = transformed(clip, resize_factor=factor, nearest=nearest)
    assert (small.video.width, small.video.height) == (192 // factor, 96 // factor)
    large, little = next(read(clip)), next(read(small))
    method = cv2.INTER_LINEAR if nearest else cv2.INTER_AREA
    assert (little.y == cv2.resize(large.y, (192 // factor, 96 // factor), interpolation=method)).all()
    assert little.u.shape == (-(-96 // factor // 2), -(-192 // factor // 2))


def test_frames_are_rotated_clockwise(clip):
    rotated_clip = transformed(clip, rotated=True)
    assert (rotated_clip.video.width, rotated_clip.video.height) == (96, 192)
    assert (next(read(rotated_clip)).y == cv2.rotate(next(read(clip)).y, cv2.ROTATE_90_CLOCKWISE)).all()


@pytest.mark.parametrize("crop", [(10, 90, 20, 120), (11, -1, 33, 140), (0, 51, 3, -1)])
def test_frames_are_cropped(clip, crop):
    cut = transformed(clip, crop=crop)
    source, cropped = next(read(clip)), next(read(cut))
    top, bottom, left, right = crop
    rows, columns = slice(top, None if bottom < 0 else bottom), slice(left, None if right < 0 else right)
    assert (cropped.y == source.y[rows, columns]).all()
    assert cropped.y.shape == (cut.video.height, cut.video.width)
    assert cropped.u.shape == tuple((n + 1) // 2 for n in cropped.y.shape)


def test_resize_rotate_and_crop_are_applied_in_this_order(clip):
    both = transformed(clip, resize_factor=2, rotated=True, crop=(4, 80, 2, 44))
    assert (both.video.width, both.video.height) == (42, 76)
    expected = np.rot90(cv2.resize(next(read(clip)).y, (96, 48), interpolation=cv2.INTER_AREA), -1)[4:80, 2:44]
    assert (next(read(both)).y == expected).all()


def test_colours_keep_their_position_when_cropped_at_an_odd_pixel(tmp_path, save_photo):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :33] = (200, 30, 30)
    pixels[:, 33:] = (30, 30, 200)
    cut = transformed(probe(save_photo(tmp_path / "a.png", pixels)), crop=(1, 61, 1, 63))
    (frame,) = read(cut)
    assert abs(int(frame.v[10, 5]) - int(frame.v[10, 14])) < 4
    assert int(frame.v[10, 14]) > int(frame.v[10, 17]) + 60


def test_rotating_swaps_the_sample_aspect(clip):
    wide = replace(clip, video=replace(clip.video, sample_aspect=Fraction(4, 3)))
    assert transformed(wide, rotated=True).video.sample_aspect == Fraction(3, 4)


def test_downscaled_frames_keep_the_colours_of_untagged_large_ones(tmp_path, make_video):
    large = probe(make_video(tmp_path / "hd.mp4", frames=2, size=(960, 720)))
    assert large.video.colour.matrix == 2
    assert transformed(large, resize_factor=2).video.colour.matrix == 1
    assert transformed(large, resize_factor=2, nearest=True).video.colour.matrix == 2
    assert transformed(probe(make_video(tmp_path / "sd.mp4", frames=2)), resize_factor=2).video.colour.matrix == 2


@pytest.mark.parametrize("crop", [(50, 40, 0, -1), (0, 97, 0, -1), (-2, -1, 0, -1), (0, 20, 0, -1)])
def test_a_crop_that_does_not_fit_is_rejected(clip, crop):
    with pytest.raises(OptionInvalid):
        transformed(clip, crop=crop)


def test_a_short_clip_can_loop(clip, number_of):
    assert [number_of(p.y) for p in loop(clip, 12, 5)] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [p.index for p in loop(clip, 3, 1)] == [0, 0, 0]
    assert [number_of(p.y) for p in ping_pong(transformed(clip, resize_factor=2), 7, 5)] == [0, 1, 2, 3, 4, 3, 2]
