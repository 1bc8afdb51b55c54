from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.contact import DEFAULT_SHADE, MAX_SHADE, contact_shade, seam_costs
from lipsync.engines.rewrite.mouth import UPPER, Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips

UNIT = 150.0


@pytest.fixture
def drawn(canonical):
    """A function that draws lips with a darker line where they meet, opened by ``gap`` eye distances."""

    def draw(line: int, gap: float = 0.0) -> Mouth:
        mesh = open_lips(close_lips(canonical), gap)[:, :2]
        points = ((mesh - mesh[13]) * UNIT + (80, 50)).astype(np.float32)
        patch = np.full((100, 160, 3), (100, 120, 150), np.uint8)
        edge = np.rint(points[list(UPPER)] * 16).astype(np.int32)
        cv2.polylines(patch, [edge], False, (line, 120, 150), 5, cv2.LINE_AA, 4)
        return Mouth(patch, measure_lips(points, UNIT), points)

    return draw


def test_the_shade_is_that_of_the_closed_mouths(drawn):
    assert contact_shade([drawn(75), drawn(75), drawn(10, gap=0.1)]) == pytest.approx(0.25, abs=0.03)


def test_ten_bits_have_the_same_shade(drawn):
    mouth = drawn(75)
    deep = Mouth(mouth.patch.astype(np.uint16) * 4, mouth.lips, mouth.points)
    assert contact_shade([deep, deep]) == pytest.approx(contact_shade([mouth, mouth]), abs=0.01)


def test_the_shade_is_bounded(drawn):
    assert contact_shade([drawn(0)] * 3) == pytest.approx(MAX_SHADE)
    assert contact_shade([drawn(130)] * 3) == 0


def test_without_closed_mouths_there_is_a_default(drawn):
    assert contact_shade([drawn(75), drawn(0, gap=0.1)]) == DEFAULT_SHADE


def test_closed_lips_without_their_usual_shade_cost_more(drawn):
    usual, faded, bright, opened = seam_costs(
        [drawn(75), drawn(75), drawn(75), drawn(95), drawn(140), drawn(200, 0.1)]
    )[2:]
    assert usual == opened == 0
    assert 0.01 < faded < bright


def test_a_speaker_with_one_closed_mouth_has_no_usual_shade(drawn):
    assert seam_costs([drawn(75), drawn(140, 0.1)]) == [0, 0]
