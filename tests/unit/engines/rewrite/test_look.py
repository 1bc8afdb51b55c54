from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.look import inside_detail, measure_look
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER

LIP, TEETH = (110, 120, 160), (200, 125, 130)


@pytest.fixture
def drawn(canonical):
    """A function that draws an open mouth of a size, its gap in a colour, and returns it with its mesh in pixels."""

    def draw(inside, unit: float = 90.0, gap: float = 0.2):
        mesh = open_lips(canonical, gap)[:, :2]
        points = ((mesh - mesh[list(LIPS_OUTER)].mean(0) + (0.5, 0.4)) * unit).astype(np.float32)
        image = np.random.default_rng(0).integers(130, 170, (int(0.8 * unit), int(unit), 3)).astype(np.uint8)
        for lips, colour in ((LIPS_OUTER, LIP), (LIPS_INNER, inside)):
            cv2.fillPoly(image, [np.rint(points[list(lips)]).astype(np.int32)], colour)
        return image, points

    return draw


def test_a_gap_full_of_lips_is_told_from_one_with_teeth(drawn):
    assert measure_look(*drawn(TEETH), 90.0).lip_share < 0.1
    assert measure_look(*drawn(LIP), 90.0).lip_share > 0.9


def test_closed_lips_have_no_gap_to_fill(drawn):
    assert measure_look(*drawn(LIP, gap=0.0), 90.0).lip_share == 0


def test_blur_lowers_the_focus_at_any_size(drawn):
    for unit in (60.0, 90.0, 250.0):
        image, points = drawn(TEETH, unit)
        blurred = cv2.GaussianBlur(image, (0, 0), 0.03 * unit)
        assert measure_look(blurred, points, unit).focus < 0.7 * measure_look(image, points, unit).focus


def test_focus_does_not_depend_on_the_light_or_on_what_the_mouth_shows(drawn):
    image, points = drawn(TEETH)
    focus = measure_look(image, points, 90.0).focus
    assert measure_look((image * 0.6).astype(np.uint8), points, 90.0).focus == pytest.approx(focus, rel=0.1)
    assert measure_look(*drawn((20, 128, 128)), 90.0).focus == pytest.approx(focus, rel=0.02)


def test_ten_bits_are_measured_like_eight(drawn):
    image, points = drawn(LIP)
    eight, ten = measure_look(image, points, 90.0), measure_look(image.astype(np.uint16) * 4, points, 90.0)
    assert ten.lip_share == eight.lip_share
    assert ten.focus == pytest.approx(eight.focus, rel=0.05)


def test_blur_lowers_the_detail_of_the_inside(drawn):
    image, points = drawn(TEETH)
    image[:, ::4] = image[:, ::4] // 2  # the gaps between teeth
    clear, blurred, closed = (
        Mouth(picture, measure_lips(mesh, 90.0), mesh)
        for picture, mesh in ((image, points), (cv2.GaussianBlur(image, (0, 0), 2), points), drawn(TEETH, gap=0.0))
    )
    assert inside_detail(blurred) < 0.5 * inside_detail(clear)
    assert np.isnan(inside_detail(closed))
