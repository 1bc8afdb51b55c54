from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.liveliness.eyes import MAX_REACH, RIM_MARGIN, find_eyes


@pytest.fixture(scope="module")
def closeup(photo, moved, to_frame, landmarker):
    """The astronaut's face at three times its size: its RGB pixels, a frame, and its landmarks."""
    rgb = moved((320, 260), 3.0, size=(640, 520))
    frame = to_frame(rgb)
    return rgb, frame, landmarker.find(frame)[0].landmarks


def with_glasses(rgb, landmarks, height, dark_lenses=False):
    """The picture with black rims that begin ``height`` eye widths above the upper lids."""
    result = rgb.copy()
    for outer, inner, upper in ((33, 133, 159), (263, 362, 386)):
        width = np.linalg.norm(landmarks[outer, :2] - landmarks[inner, :2])
        middle = (landmarks[outer, :2] + landmarks[inner, :2]) / 2
        top = landmarks[upper, 1] - height * width
        centre, axes = (middle[0], top + 0.75 * width), (0.9 * width, 0.75 * width)
        points = [tuple(np.rint(np.array(p) * 16).astype(int).tolist()) for p in (centre, axes)]
        thickness = -1 if dark_lenses else 3
        cv2.ellipse(result, *points, 0, 0, 360, (12, 12, 12), thickness, cv2.LINE_AA, 4)
    return result


def test_closed_and_tiny_eyes_do_not_blink(closeup):
    _, frame, landmarks = closeup
    assert len(find_eyes(frame, landmarks)) == 2
    assert find_eyes(frame, landmarks * 0.1) == ()
    shut = landmarks.copy()
    for upper, lower in zip((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155), strict=True):
        shut[upper] = shut[lower]
    assert find_eyes(frame, shut) == ()


def test_eyes_behind_dark_glasses_do_not_blink(closeup, to_frame):
    rgb, _, landmarks = closeup
    assert find_eyes(to_frame(with_glasses(rgb, landmarks, 0.3, dark_lenses=True)), landmarks) == ()


def test_the_rim_of_glasses_stays_in_place_or_stops_the_blinks(closeup, to_frame):
    rgb, _, landmarks = closeup
    eyes = find_eyes(to_frame(with_glasses(rgb, landmarks, 0.34)), landmarks)
    assert len(eyes) == 2
    assert all(eye.reach[4] <= 0.34 - RIM_MARGIN / 2 for eye in eyes)
    assert find_eyes(to_frame(with_glasses(rgb, landmarks, 0.2)), landmarks) == ()


def test_the_brow_stays_in_place(closeup):
    _, frame, landmarks = closeup
    for eye, brow, upper in zip(find_eyes(frame, landmarks), (52, 282), (159, 386), strict=True):
        assert eye.reach.max() <= MAX_REACH
        assert eye.reach[4] * eye.width < 0.9 * (landmarks[upper, 1] - landmarks[brow, 1])


def test_sizes_are_those_of_the_landmarks(closeup):
    _, frame, landmarks = closeup
    right, left = find_eyes(frame, landmarks)
    assert right.width == pytest.approx(np.linalg.norm(landmarks[33, :2] - landmarks[133, :2]), rel=1e-4)
    gap = np.linalg.norm(landmarks[386, :2] - landmarks[374, :2])
    assert left.opening * left.width == pytest.approx(gap, rel=0.1)
