from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.rewrite.light import SKIN, Light, LightTrack, light_change, measure_light, relit
from lipsync.types import Colour, Frame

RGB = np.array([0.8, 0.6, 0.5], np.float32)


def plain(y: int, u: int, v: int, depth: int = 8, full_range: bool = False) -> Frame:
    kind = np.uint8 if depth == 8 else np.uint16
    planes = (np.full(size, value, kind) for size, value in (((100, 100), y), ((50, 50), u), ((50, 50), v)))
    return Frame(0, *planes, depth, Colour(full_range=full_range))


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 99, (468, 2)).astype(np.float32)


def test_the_light_does_not_depend_on_depth_and_range(points):
    grey = measure_light(plain(126, 128, 128), points)
    assert np.allclose(grey.rgb, (126 - 16) / 219, atol=1e-3)
    assert np.allclose(measure_light(plain(504, 512, 512, 10), points).rgb, grey.rgb, atol=1e-3)
    assert np.allclose(measure_light(plain(128, 128, 128, full_range=True), points).rgb, grey.rgb, atol=2e-3)


def test_hair_over_some_of_the_skin_does_not_change_the_light(points):
    frame = plain(150, 110, 150)
    clear = measure_light(frame, points)
    for x, y in points[list(SKIN[:7])].astype(int):
        frame.y[y, x] = 20
    assert np.allclose(measure_light(frame, points).rgb, clear.rgb, atol=0.01)


def test_skin_takes_the_colour_of_the_other_light(points):
    bright, dim = plain(170, 112, 150), plain(90, 124, 139)
    change = light_change(measure_light(bright, points), measure_light(dim, points).rgb)
    skin = np.full((2, 2, 3), (170, 112, 150), np.float32)
    assert np.abs(relit(skin, change) - (90, 124, 139)).max() < 2


def test_black_stays_black_and_grey_is_tinted():
    change = light_change(Light(RGB, 16, 128), RGB * np.array([1, 0.9, 0.7], np.float32))
    black, white = relit(np.array([[[16, 128, 128], [235, 128, 128]]], np.float32), change)[0]
    assert np.abs(black - (16, 128, 128)).max() < 0.01
    assert white[0] < 235
    assert white[1] < 128 < white[2]


def test_nearly_the_same_light_changes_nothing():
    light = Light(RGB, 16, 128)
    image = np.random.default_rng(0).uniform(16, 235, (4, 4, 3)).astype(np.float32)
    assert light_change(light, RGB * np.float32(1.005)) is None
    assert relit(image, None) is image


def test_the_gain_is_bounded():
    change = light_change(replace(Light(RGB, 16, 128), rgb=np.full(3, 0.02, np.float32)), np.ones(3, np.float32))
    assert relit(np.full((1, 1, 3), (26, 128, 128), np.float32), change)[0, 0, 0] < 16 + 10 * 3


def test_a_flash_of_one_frame_is_smoothed_and_a_cut_is_kept():
    track = LightTrack()
    for k in range(20):
        track.add(k, RGB * np.float32(0.3 if k == 5 else 1.0 if k < 12 else 0.5))
    smoothed = track.smoothed(range(20))[:, 0] / RGB[0]
    assert np.allclose(smoothed[:12], 1, atol=1e-3)
    assert np.allclose(smoothed[12:], 0.5, atol=1e-3)


def test_frames_without_a_face_take_the_light_of_the_next_one():
    track = LightTrack()
    track.add(4, RGB)
    assert np.allclose(track.smoothed([0, 3, 4, 9]), RGB, atol=1e-4)
    assert LightTrack().smoothed([0, 1]).shape == (2, 3)
