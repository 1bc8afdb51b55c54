from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.plate import clean_plate
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_OUTER
from lipsync.types import Colour, Frame

UNIT = 120.0
SKIN, LIPS = (150, 115, 145), (110, 115, 170)  # Y'CbCr


@pytest.fixture
def mouth(canonical):
    """A function that places the canonical mouth, opened by ``gap`` eye distances, in pixels of a 240x200 frame."""

    def place(gap):
        face = open_lips(close_lips(canonical), gap)[:, :2]
        return ((face - canonical[13, :2]) * UNIT + (120, 80)).astype(np.float32)

    return place


def filmed(points, below: float, depth: int = 8, lips=LIPS) -> Frame:
    """Skin with lips that reach ``below`` pixels farther down than their landmarks."""
    outline = points[list(LIPS_OUTER)].copy()
    outline[11:, 1] += below
    image = np.full((200, 240, 3), SKIN, np.uint8)
    image += np.random.default_rng(0).integers(0, 3, image.shape).astype(np.uint8)
    cv2.fillPoly(image, [np.rint(outline * 16).astype(np.int32)], lips, cv2.LINE_AA, 4)
    y, u, v = cv2.split(image)
    u, v = (cv2.resize(plane, (120, 100), interpolation=cv2.INTER_AREA) for plane in (u, v))
    scale, kind = 1 << (depth - 8), np.uint8 if depth == 8 else np.uint16
    return Frame(0, *((plane.astype(kind) * scale).astype(kind) for plane in (y, u, v)), depth, Colour())


def redness_below(frame: Frame, points) -> float:
    """The largest Cr below the lower lip's landmarks, in 8-bit code values above the skin's."""
    x, y = points[17].astype(int)
    part = frame.v[y // 2 + 3 : y // 2 + 12, x // 2 - 6 : x // 2 + 6].astype(float)
    return float(part.max()) / (1 << (frame.depth - 8)) - SKIN[2]


@pytest.mark.parametrize("depth", [8, 10])
def test_a_lip_beyond_its_landmarks_is_removed_from_the_skin(mouth, depth):
    wide = mouth(0.2)
    frame = filmed(wide, 14, depth)
    assert redness_below(frame, wide) > 20
    assert clean_plate(frame, wide, mouth(0.0), UNIT)
    assert redness_below(frame, wide) < 6
    luma = frame.y[int(wide[17, 1]) + 7, int(wide[17, 0])] / (1 << (depth - 8))
    assert luma == pytest.approx(SKIN[0], abs=6)


@pytest.mark.parametrize(("below", "gap"), [(0, 0.0), (14, 0.2)], ids=["right landmarks", "the mouth stays open"])
def test_nothing_changes_where_nothing_is_left_behind(mouth, below, gap):
    frame = filmed(mouth(0.2), below)
    before = frame.y.copy(), frame.u.copy(), frame.v.copy()
    assert not clean_plate(frame, mouth(0.2), mouth(gap), UNIT)
    assert all((a == b).all() for a, b in zip(before, (frame.y, frame.u, frame.v), strict=True))


def test_lips_of_the_skins_colour_leave_no_stain(mouth):
    assert not clean_plate(filmed(mouth(0.2), 14, lips=(110, 116, 146)), mouth(0.2), mouth(0.0), UNIT)


def test_a_mouth_outside_the_frame_changes_nothing(mouth):
    assert not clean_plate(filmed(mouth(0.2), 14), mouth(0.2) + 1000, mouth(0.0) + 1000, UNIT)


def test_a_stain_without_skin_nearby_takes_the_colour_of_the_skin_farther_away(mouth):
    wide = mouth(0.2)
    frame = filmed(wide, 28)
    low, high = ([plane.min() for plane in (frame.u, frame.v)], [plane.max() for plane in (frame.u, frame.v)])
    assert clean_plate(frame, wide, mouth(0.0), UNIT)
    assert all(plane.min() >= a and plane.max() <= b for plane, a, b in zip((frame.u, frame.v), low, high, strict=True))


def test_a_warm_chin_away_from_the_lips_is_no_stain(mouth):
    wide = mouth(0.2)
    frame = filmed(wide, 0)
    x, y = (wide[17] + (0, 0.13 * UNIT)).astype(int)
    cv2.ellipse(frame.v, (x // 2, y // 2), (12, 3), 0, 0, 360, 168, -1)
    before = frame.v.copy()
    assert not clean_plate(frame, wide, mouth(0.0), UNIT)
    assert (frame.v == before).all()


def test_skin_of_another_colour_beyond_the_jaw_does_not_count(mouth):
    wide = mouth(0.2)
    frame = filmed(wide, 0)
    below_chin = int(wide[152, 1]) // 2 + 1
    frame.u[below_chin:], frame.v[below_chin:] = 135, 120
    before = frame.v.copy()
    assert not clean_plate(frame, wide, mouth(0.0), UNIT)
    assert (frame.v == before).all()
