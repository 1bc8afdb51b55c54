from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.engines.wav2lip.crop import (
    SIDE,
    Crop,
    Crops,
    aligned_crop,
    crop_of_box,
    detected_crop,
    face_view,
    generator_input,
)
from lipsync.errors import OptionInvalid
from lipsync.faces.geometry import CHIN, LEFT_EYE, LIPS, RIGHT_EYE
from lipsync.types import Shot


def corners(crop: Crop) -> np.ndarray:
    """The outer corners of the generator's image in the frame, (4, 2)."""
    ends = np.array([[x, y, 1] for x in (-0.5, SIDE - 0.5) for y in (-0.5, SIDE - 0.5)])
    return ends @ crop.matrix().T


def in_view(crop: Crop, points: np.ndarray) -> np.ndarray:
    return points @ cv2.invertAffineTransform(crop.matrix())[:, :2].T + cv2.invertAffineTransform(crop.matrix())[:, 2]


def test_the_matrix_covers_the_box_to_its_edges():
    ends = corners(Crop(100, 60, 40, 80))
    assert np.allclose(ends.min(0), (80, 20))
    assert np.allclose(ends.max(0), (120, 100))


def test_pads_extend_the_side_that_they_name():
    ends = corners(Crop(100, 60, 40, 80).padded((1, 2, 3, 4)))
    assert np.allclose(ends.min(0), (77, 19), atol=1e-4)
    assert np.allclose(ends.max(0), (124, 102), atol=1e-4)
    turned = Crop(100, 60, 40, 80, np.pi / 2).padded((0, 10, 0, 0))
    assert (turned.x, turned.y) == (pytest.approx(95), pytest.approx(60))


def test_a_crop_covers_the_box_that_it_is_created_from():
    ends = corners(crop_of_box((10, 50, 20, 40)))
    assert np.allclose(ends.min(0), (19.5, 9.5), atol=1e-4)
    assert np.allclose(ends.max(0), (39.5, 49.5), atol=1e-4)
    with pytest.raises(OptionInvalid):
        crop_of_box((10, 10, 20, 40))


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.3])
def test_the_crop_turns_with_the_head_and_frames_the_face_as_the_original_does(moved, to_frame, landmarker, turn):
    frame = to_frame(moved((160, 120), 1.6, turn), 0)
    landmarks = landmarker.find(frame)[0].landmarks
    crop = aligned_crop(landmarks)
    assert crop.angle == pytest.approx(turn, abs=0.06)
    points = in_view(crop, landmarks[:468, :2])
    right, left = points[RIGHT_EYE], points[LEFT_EYE]
    assert right[1] == pytest.approx(left[1], abs=0.5)
    assert points[:, 0].min() == pytest.approx(-0.5, abs=0.5)
    assert points[:, 0].max() == pytest.approx(SIDE - 0.5, abs=0.5)
    assert points[CHIN, 1] == pytest.approx(SIDE - 1, abs=3)
    assert 24 < right[1] < 44
    assert 62 < points[list(LIPS), 1].mean() < 80


def test_the_upright_crop_contains_the_turned_face(moved, to_frame, landmarker):
    landmarks = landmarker.find(to_frame(moved((160, 120), 1.6, 0.4), 0))[0].landmarks
    box = detected_crop(landmarks)
    ends = corners(box)
    assert box.angle == 0
    assert ends[:, 0].min() == pytest.approx(landmarks[:468, 0].min(), abs=0.01)
    assert ends[:, 1].max() == pytest.approx(landmarks[:468, 1].max(), abs=0.01)


def test_the_view_is_the_frame_in_bgr(to_frame):
    rgb = np.zeros((120, 160, 3), np.uint8)
    rgb[:] = (200, 100, 40)
    view = face_view(to_frame(rgb, 0), Crop(80, 60, 50, 60))
    assert view.shape == (3, SIDE, SIDE)
    assert np.allclose(view.mean((1, 2)) * 255, (40, 100, 200), atol=3)


def test_colour_edges_stay_sharp_in_the_view(to_frame):
    rgb = np.zeros((192, 192, 3), np.uint8)
    rgb[:, :96], rgb[:, 96:] = (160, 60, 60), (60, 60, 160)
    view = face_view(to_frame(rgb, 0), Crop(95.5, 95.5, 192, 192))
    middle = view[2, 48] - view[0, 48]
    assert middle[45] > 0.3
    assert middle[50] < -0.3


def test_the_input_is_the_upper_half_and_a_reference():
    face, reference = np.full((3, 96, 96), 0.5, np.float32), np.full((3, 96, 96), 0.25, np.float32)
    both = generator_input(face, reference)
    assert both.shape == (6, 96, 96)
    assert (both[:3, :48] == 0.5).all()
    assert (both[:3, 48:] == 0).all()
    assert (both[3:] == 0.25).all()
    assert (face == 0.5).all()


def shaken(count: int, at: float = 100.0) -> list[Crop]:
    dice = np.random.default_rng(0)
    return [
        Crop(at + k + dice.normal(), 80, 60 * np.exp(dice.normal() / 50), 80, 3.1 * np.sign(dice.normal()))
        for k in range(count)
    ]


def test_smoothing_removes_jitter_and_keeps_motion_below_a_pixel():
    crops = Crops()
    for crop in shaken(60):
        crops.add(crop)
    smooth = crops.smoothed(np.ones(60, bool), (Shot(0, 60),), Fraction(25))
    x = np.array([crop.x for crop in smooth])
    assert np.abs(np.diff(x, 2)).mean() < 0.25
    assert np.abs(x - np.arange(100, 160)).mean() < 0.6
    assert len(set(np.mod(x, 1).round(3))) > 30


def test_smoothing_can_be_disabled():
    crops, given = Crops(), shaken(20)
    for crop in given:
        crops.add(crop)
    plain = crops.smoothed(np.ones(20, bool), (Shot(0, 20),), Fraction(25), smooth=False)
    assert [crop.x for crop in plain] == pytest.approx([crop.x for crop in given])


def test_smoothing_does_not_reach_over_a_cut():
    crops = Crops()
    for crop in [Crop(50, 50, 40, 40)] * 20 + [Crop(200, 90, 80, 80)] * 20:
        crops.add(crop)
    smooth = crops.smoothed(np.ones(40, bool), (Shot(0, 20), Shot(20, 40)), Fraction(25))
    assert {(round(c.x, 3), round(c.width, 3)) for c in list(smooth)[:20]} == {(50, 40)}
    assert {(round(c.x, 3), round(c.width, 3)) for c in list(smooth)[20:]} == {(200, 80)}


def test_short_gaps_are_filled_and_long_ones_kept():
    crops = Crops()
    has_face = [True] * 10 + [False] * 4 + [True] * 10 + [False] * 30 + [True] * 5
    for k, visible in enumerate(has_face):
        crops.add(Crop(100 + k, 80, 60, 80) if visible else None)
    present = np.array([True] * 24 + [False] * 30 + [True] * 5)
    smooth = crops.smoothed(present, (Shot(0, 59),), Fraction(25))
    assert [crop is not None for crop in smooth] == present.tolist()
    assert smooth[12].x == pytest.approx(112, abs=0.01)
