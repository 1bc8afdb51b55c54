from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.mouth import LOWER_SIDE, UPPER_SIDE, Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips

UNIT = 150.0


@pytest.fixture
def points(canonical):
    """A mouth that is open by 0.2 eye distances, in pixels, slightly turned."""
    mesh = open_lips(canonical, 0.2)[:, :2]
    turn = np.array([[0.98, -0.2], [0.2, 0.98]])
    return ((mesh - mesh[[78, 308]].mean(0)) @ turn.T * UNIT + (80, 45)).astype(np.float32)


def test_lips_are_measured_in_their_own_frame(points):
    lips = measure_lips(points, UNIT)
    assert lips.gap == pytest.approx(0.2, abs=0.03)
    assert lips.upper[0, 0] == 0
    assert lips.upper[-1, 0] == pytest.approx(1)
    assert (lips.lower[3:8, 1] > lips.upper[3:8, 1]).all()


def test_points_and_coordinates_of_the_lips_agree(points):
    lips = measure_lips(points, UNIT)
    position, height = lips.coordinates(points[[13, 14]])
    expected = [float(lips.height(position[side], side)) for side in (UPPER_SIDE, LOWER_SIDE)]
    assert height == pytest.approx(expected, abs=1)
    assert lips.points(position, height) == pytest.approx(points[[13, 14]], abs=0.01)


def test_a_mouth_takes_the_light_of_a_frame(points):
    patch = np.full((4, 4, 3), (150, 128, 128), np.uint8)
    light = Light(np.full(3, 0.8, np.float32), 16, 128)
    mouth = Mouth(patch, measure_lips(points, UNIT), points, light)
    places = np.ones((2, 2, 2), np.float32)
    assert mouth.lit(light.rgb).sample(places)[0, 0, 0] == 150
    assert mouth.lit(light.rgb / 2).sample(places)[0, 0, 0] == pytest.approx(16 + 134 / 2, abs=0.1)
    assert Mouth(patch, mouth.lips, points).lit(light.rgb / 2).sample(places)[0, 0, 0] == 150
