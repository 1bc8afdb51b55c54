from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.faces.geometry import canonical_face
from lipsync.faces.smoothed_faces import FADE_FRAMES, SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.types import Face


@pytest.fixture
def canonical():
    return canonical_face()


@pytest.fixture
def faces(canonical):
    """100 frames of a face that drifts to the right and is out of view from frame 40 to 69."""
    with TrackBuilder() as builder:
        for i in range(100):
            points = np.zeros((478, 3), np.float32)
            points[:468] = canonical * 60 + (100 + i, 80, 0)
            builder.add(None if 40 <= i < 70 else Face(points, 1.0), cut=False)
        with builder.finish(Fraction(25)) as track:
            yield SmoothedFaces(track)


def test_each_frame_has_its_own_face(faces):
    near, far = faces.at(0), faces.at(99)
    assert near is not None
    assert far is not None
    assert far.points[0, 0] - near.points[0, 0] == pytest.approx(99, abs=0.5)
    assert np.abs(far.mesh - near.mesh).max() < 0.01


def test_frames_without_the_face_have_none(faces):
    assert faces.at(55) is None


def test_edits_fade_towards_frames_without_the_face(faces):
    strengths = [faces.at(i).strength for i in range(40 - FADE_FRAMES - 1, 40)]
    assert strengths[0] == 1
    assert strengths == sorted(strengths, reverse=True)
    assert 0 < strengths[-1] < 0.5


def test_edits_do_not_fade_at_a_cut(canonical):
    with TrackBuilder() as builder:
        for i in range(60):
            points = np.zeros((478, 3), np.float32)
            points[:468] = canonical * 60 + (100, 80, 0)
            builder.add(None if 20 <= i < 35 else Face(points, 1.0), cut=i in (20, 35))
        with builder.finish(Fraction(25)) as track:
            faces = SmoothedFaces(track)
            assert [faces.at(i).strength for i in (*range(15, 20), *range(35, 40))] == [1] * 10


def test_frames_without_the_face_take_the_nearest_pose(faces):
    rotations = faces.poses([39, 55, 70]).rotation
    assert rotations.shape == (3, 3, 3)
    assert np.abs(rotations - np.eye(3)).max() < 0.02
