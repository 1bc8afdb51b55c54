from __future__ import annotations

from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.faces.geometry import CHIN, LEFT_EYE, LIPS, RIGHT_EYE, opening


def test_the_lips_follow_the_motion_fully_and_the_eyes_not_at_all(canonical):
    weight = influence(canonical)
    assert (weight[list(LIPS)] == 1).all()
    assert weight[CHIN] > 0.8
    assert weight[[LEFT_EYE, RIGHT_EYE, 10]].max() == 0
    assert weight[1] < 0.02  # the tip of the nose


def test_opened_lips_part_below_the_upper_lip(canonical):
    wide = open_lips(canonical, 0.2)
    assert opening(wide[None])[0] > 0.15
    assert (wide[[0, 13]] == canonical[[0, 13]]).all()
    assert wide[17, 1] > canonical[17, 1] + 0.05
