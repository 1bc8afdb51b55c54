from __future__ import annotations

import numpy as np

from lipsync.engines.rewrite.shape import close_lips, closed_mouth, influence, open_lips
from lipsync.faces.geometry import CHIN, LEFT_EYE, LIPS, LIPS_INNER, LIPS_OUTER, RIGHT_EYE, opening


def test_the_lips_follow_the_motion_fully_and_the_eyes_not_at_all(canonical):
    weight = influence(canonical)
    assert (weight[list(LIPS)] == 1).all()
    assert weight[CHIN] > 0.8
    assert weight[[LEFT_EYE, RIGHT_EYE, 10]].max() == 0
    assert weight[1] < 0.02  # the tip of the nose


def test_an_open_mouth_is_closed(canonical):
    wide = open_lips(canonical, 0.2)
    assert opening(wide[None])[0] > 0.15
    assert opening(close_lips(wide)[None])[0] < 0.006


def test_closing_does_not_turn_the_lips_inside_out(canonical):
    shut = close_lips(open_lips(canonical, 0.2))
    upper_outer, lower_outer = shut[0, 1], shut[17, 1]
    inner = shut[list(LIPS_INNER), 1]
    assert upper_outer < inner.min()
    assert lower_outer > inner.max()


def test_closing_a_closed_mouth_changes_nothing(canonical):
    shut = close_lips(canonical)
    assert np.abs(close_lips(shut) - shut).max() < 1e-5


def test_closing_leaves_the_eyes_alone(canonical):
    moved = close_lips(open_lips(canonical, 0.2)) - open_lips(canonical, 0.2)
    assert np.abs(moved[[LEFT_EYE, RIGHT_EYE]]).max() < 0.01
    assert np.abs(moved[list(LIPS_OUTER)]).max() > 0.02


def test_the_closed_mouth_is_that_of_the_least_open_frames(canonical):
    faces = np.stack([open_lips(canonical, gap) for gap in np.linspace(0, 0.3, 30)])
    assert np.abs(closed_mouth(faces) - canonical).max() < 0.06
    assert opening(closed_mouth(faces)[None])[0] < 0.006
