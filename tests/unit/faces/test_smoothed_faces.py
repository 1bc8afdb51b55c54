from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.faces.geometry import canonical_face
from lipsync.faces.smoothed_faces import FADE_FRAMES, SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.types import Face


@pytest.fixture
def rest():
    return canonical_face()


@pytest.fixture
def window(rest):
    """100 frames of a face that drifts right, away from frame 40 to 69."""
    with TrackBuilder() as builder:
        for i in range(100):
            points = np.zeros((478, 3), np.float32)
            points[:468] = rest * 60 + (100 + i, 80, 0)
            builder.add(None if 40 <= i < 70 else Face(points, 1.0), cut=False)
        with builder.finish(Fraction(25)) as track:
            yield SmoothedFaces(track)


def test_each_frame_has_its_own_face(window):
    near, far = window.at(0), window.at(99)
    assert near is not None
    assert far is not None
    assert far.points[0, 0] - near.points[0, 0] == pytest.approx(99, abs=0.5)
    assert np.abs(far.mesh - near.mesh).max() < 0.01


def test_frames_without_the_face_have_none(window):
    assert window.at(55) is None


def test_the_new_mouth_comes_and_goes_softly_where_the_face_does(window):
    strengths = [window.at(i).strength for i in range(40 - FADE_FRAMES - 1, 40)]
    assert strengths[0] == 1
    assert strengths == sorted(strengths, reverse=True)
    assert 0 < strengths[-1] < 0.5


def test_at_a_cut_the_new_mouth_is_there_at_once(rest):
    with TrackBuilder() as builder:
        for i in range(60):
            points = np.zeros((478, 3), np.float32)
            points[:468] = rest * 60 + (100, 80, 0)
            builder.add(None if 20 <= i < 35 else Face(points, 1.0), cut=i in (20, 35))
        with builder.finish(Fraction(25)) as track:
            window = SmoothedFaces(track)
            assert [window.at(i).strength for i in (*range(15, 20), *range(35, 40))] == [1] * 10


def test_a_head_that_is_away_is_turned_as_when_it_was_last_seen(window):
    turned = window.rotations([39, 55, 70])
    assert turned.shape == (3, 3, 3)
    assert np.abs(turned - np.eye(3)).max() < 0.02
