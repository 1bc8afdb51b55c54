from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.appearance import Appearance
from lipsync.engines.rewrite.drawn_mouth import DrawnMouth
from lipsync.engines.rewrite.mouth import measure_lips
from lipsync.faces.geometry import LIPS_INNER, Pose
from lipsync.types import Box

LOOK = Appearance(
    np.array([180, 118, 143], np.float32),
    np.array([130, 116, 160], np.float32),
    np.array([185, 122, 136], np.float32),
    np.array([16, 128, 128], np.float32),
    np.zeros(3, np.float32),
    0.004,
    0.0,
)
CAVITY = np.array([35, 122, 136], np.float32)


@pytest.fixture
def draw(canonical, basis):
    """Draw the mouth that a vowel opens ``wide`` on a head with ``yaw``: the picture, its box and the inner lips."""

    def drawn(wide: float, yaw: float = 0.0, scale: float = 200.0, look: Appearance = LOOK, *, teeth: bool = True):
        coefficients = basis.neutral + np.eye(1, len(basis.sd), dtype=np.float32)[0] * wide
        mesh = canonical + basis.displacement(coefficients[None])[0]
        rotation = cv2.Rodrigues(np.array([0, yaw, 0], np.float32))[0].astype(np.float32)
        pose = Pose(np.array([scale], np.float32), rotation[None], np.array([[400, 100, 0]], np.float32))
        points = pose.to_frame(mesh[None])[0, :, :2]
        inner = points[list(LIPS_INNER)]
        low, high = np.floor(inner.min(0)).astype(int) - 2, np.ceil(inner.max(0)).astype(int) + 2
        box = Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        image = (
            DrawnMouth(canonical, look, CAVITY * look.black[1] / 128)
            .posed(pose, mesh, 3)
            .draw(measure_lips(points, scale), box, teeth=teeth)
        )
        return image, box, points

    return drawn


def column(image, box, points, number: int = 13):
    """The luma of the picture from the upper to the lower lip, at the middle of the mouth but beside a gap."""
    x = int(points[number, 0]) - box.left + 8
    top, bottom = (int(points[k, 1]) - box.top for k in (13, 14))
    return image[top:bottom, x, 0]


def test_an_open_mouth_shows_upper_teeth_above_a_dark_cavity_or_tongue(draw):
    luma = column(*draw(3.0))
    teeth, below = luma[3:10], luma[len(luma) // 2 : -12]
    assert teeth.mean() > 110
    assert below.min() < 0.65 * teeth.mean()


def test_without_teeth_only_the_tongue_and_the_cavity_are_drawn(draw):
    toothless = column(*draw(3.0, teeth=False))
    assert toothless[: len(toothless) // 3].max() < 0.5 * LOOK.enamel[0]


def test_the_upper_teeth_stay_with_the_skull_and_the_lower_ones_follow_the_jaw(draw):
    edges = []
    for wide in (2.0, 3.5):
        image, box, points = draw(wide)
        luma = image[:, int(points[13, 0]) - box.left + 8, 0]
        bright = np.flatnonzero(luma > 0.75 * luma.max()) + box.top
        edges.append((int(bright.min()), points[14, 1]))
    top = [np.diff([edge[0] for edge in edges])[0], np.diff([edge[1] for edge in edges])[0]]
    assert abs(top[0]) < 0.5 * abs(top[1])


def test_lips_that_nearly_touch_show_their_own_colour_between_them(draw):
    image, box, points = draw(0.12)
    middle = image[int((points[13, 1] + points[14, 1]) / 2) - box.top, int(points[13, 0]) - box.left]
    assert 16 + 0.3 * (130 - 16) < middle[0] < 130
    assert middle[2] > 138


def test_a_turned_head_moves_the_front_teeth_to_the_side_it_turns_to(draw):
    straight, turned = draw(3.0), draw(3.0, np.radians(25))
    brightest = []
    for image, box, points in (straight, turned):
        row = image[int(points[13, 1]) - box.top + 12, :, 0]
        weights = np.maximum(row - 0.8 * row.max(), 0)
        brightest.append((weights * np.arange(len(row))).sum() / weights.sum() + box.left - points[[78, 308], 0].mean())
    assert abs(brightest[1] - brightest[0]) > 5


def test_the_teeth_are_as_soft_as_the_footage_and_as_grainy(draw):
    def detail(image):
        return float(np.abs(cv2.Laplacian(np.ascontiguousarray(image[..., 0]), cv2.CV_32F)).mean())

    blurred = Appearance(LOOK.skin, LOOK.lips, LOOK.enamel, LOOK.black, LOOK.light, 0.02, 0.0)
    grainy = Appearance(LOOK.skin, LOOK.lips, LOOK.enamel, LOOK.black, LOOK.light, 0.004, 4.0)
    assert detail(draw(3.0, look=blurred)[0]) < 0.5 * detail(draw(3.0)[0])
    noise = draw(3.0, look=grainy)[0] - draw(3.0)[0]
    assert noise[..., 0].std() == pytest.approx(4.0, rel=0.1)
    assert np.array_equal(draw(3.0, look=grainy)[0], draw(3.0, look=grainy)[0])


def test_ten_bits_give_the_same_picture(draw):
    deep = Appearance(LOOK.skin * 4, LOOK.lips * 4, LOOK.enamel * 4, LOOK.black * 4, LOOK.light, LOOK.blur, 0.0)
    image, _, _ = draw(3.0, look=deep)
    assert np.abs(image - 4 * draw(3.0)[0]).max() < 0.1
