"""Learning about the person in the footage."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines.base import OwnSound
from lipsync.engines.rewrite.mesh_reader import measures_of
from lipsync.engines.rewrite.speaker import Speaker, mesh_rows
from lipsync.faces.geometry import canonical_face
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.monitor import Monitor
from lipsync.speech.adaptation import HeardRows
from lipsync.speech.motion import load_basis
from lipsync.types import Face

BASIS = load_basis()


@pytest.fixture
def faces_of():
    """Make a tracked face that moves its mouth; ``missing`` frames show no face, ``cuts`` begin a shot."""
    with ExitStack() as stack:

        def make(motion, rate=25, missing=(), cuts=()):
            meshes = canonical_face() + BASIS.displacement(motion)
            points = np.concatenate([meshes, meshes[:, :10]], 1) * 100 + 200
            with TrackBuilder() as builder:
                for k, landmarks in enumerate(points):
                    builder.add(None if k in missing else Face(landmarks.astype(np.float32), 1.0), k in cuts)
                return SmoothedFaces(stack.enter_context(builder.finish(Fraction(rate))))

        yield make


def speech_motion(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    slow = np.stack([np.convolve(one, np.hanning(7), "same") for one in rng.standard_normal((12, rows))], 1)
    motion = np.tile(BASIS.neutral, (rows, 1)) + 0.2 * slow
    opening = measures_of(BASIS).opening
    motion += np.outer(np.abs(slow[:, 0]) * 0.05, opening / (opening @ opening))
    return motion.astype(np.float32)


class Prompter:
    """A motion model that hears what it is told."""

    basis = BASIS

    def __init__(self, predicted):
        self.predicted = predicted
        self.features = np.random.default_rng(1).standard_normal((len(predicted), 5)).astype(np.float32)

    def hear(self, blocks, count):
        assert sum(map(len, blocks))
        return HeardRows(self.predicted, self.features, np.zeros(len(self.features), np.float32)).part(0, count)


class Sound:
    def blocks(self, delay):
        yield np.ones(16_000, np.float32)


def own_sound(seconds: float) -> OwnSound:
    return OwnSound(Sound(), Fraction(0), Fraction(seconds), Monitor())


def test_meshes_are_sampled_at_the_networks_rate(faces_of):
    faces = faces_of(speech_motion(90), rate=30)
    rows, seen = mesh_rows(faces, 1000)
    assert seen.all()
    assert len(rows) == int(89 / 30 * 25) + 1
    np.testing.assert_allclose(rows[5], faces.at(6).mesh, atol=1e-5)  # at 0.2 s
    np.testing.assert_allclose(rows[2], 0.6 * faces.at(2).mesh + 0.4 * faces.at(3).mesh, atol=1e-5)  # at 0.08 s
    assert len(mesh_rows(faces, 10)[0]) == 10


def test_rows_without_a_face_and_across_cuts_are_not_seen(faces_of):
    motion = speech_motion(90)
    missing = tuple(range(30, 50))
    _, seen = mesh_rows(faces_of(motion, missing=missing), 1000)
    assert not seen[30:50].any()
    assert seen[:30].all()
    _, seen = mesh_rows(faces_of(motion, rate=30, cuts=(40,)), 1000)
    assert not seen.all()
    assert seen.sum() >= len(seen) - 1


def test_a_person_who_talks_is_learnt_from(faces_of):
    motion = speech_motion(400)
    speaker = Speaker(Prompter(motion))
    speaker.listen(own_sound(16))
    found = speaker.adaptation(faces_of(motion), canonical_face())
    assert found is not None
    assert found.adapted.seconds == pytest.approx(16, abs=1)


def test_another_voice_teaches_nothing(faces_of):
    speaker = Speaker(Prompter(speech_motion(400, seed=1)))
    speaker.listen(own_sound(16))
    assert speaker.adaptation(faces_of(speech_motion(400, seed=2)), canonical_face()) is None


def test_nothing_heard_teaches_nothing(faces_of):
    speaker = Speaker(Prompter(speech_motion(400)))
    speaker.listen(own_sound(1))
    assert speaker.adaptation(faces_of(speech_motion(400)), canonical_face()) is None


def test_a_reference_teaches_although_the_video_is_silent(faces_of):
    motion = speech_motion(400)
    speaker = Speaker(Prompter(motion))
    speaker.listen(own_sound(16))
    speaker.study(faces_of(motion))
    found = speaker.adaptation(faces_of(speech_motion(50, seed=3)), canonical_face())
    assert found is not None
