from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.wav2lip.inputs import GeneratorInputs
from lipsync.errors import OptionInvalid
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.types import Face

FRAMES = 50


@pytest.fixture(scope="module")
def speech(make_audio, tmp_path_factory):
    """A second of a buzz, then a second of silence."""
    time = np.arange(16_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20)) * 4000
    path = make_audio(tmp_path_factory.mktemp("audio") / "speech.wav", np.pad(buzz, (0, 16_000)).astype(np.int16))
    with decode_speech(probe(path), allow_clipped=False) as audio:
        yield audio


@pytest.fixture(scope="module")
def frames(moved, to_frame):
    rgb = moved((160, 120), 1.6)
    return [to_frame(rgb, index) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def face(frames, landmarker) -> Face:
    return landmarker.find(frames[0])[0]


@pytest.fixture
def jobs(frames, face, speech):
    """A function that observes the frames, all but ``absent`` with the face, and returns their jobs."""

    def build(options: EngineOptions, absent=()):
        inputs = GeneratorInputs(options)
        with TrackBuilder() as builder:
            for frame in frames:
                observed = None if frame.index in absent or not inputs.needs_faces else face
                inputs.observe(frame, observed)
                builder.add(observed, False)
            with builder.finish(Fraction(25), faceless=not inputs.needs_faces) as track:
                scene = Scene(SmoothedFaces(track), speech, Fraction(25), FRAMES)
                return list(inputs.jobs(frames, scene))

    return build


def test_the_reference_is_the_frame_itself_in_speech_and_a_closed_mouth_in_silence(jobs):
    found = jobs(EngineOptions())
    assert [job.frame.index for job in found] == list(range(FRAMES))
    for job in found:
        assert job.mel.shape == (80, 16)
        assert (job.input.face[:3, 48:] == 0).all()
        assert job.placement.strength == 1
    assert [job.input.key for job in found[2:24]] == [(index, None, 0.0) for index in range(2, 24)]
    references = {job.input.key[1:] for job in found[36:]}
    assert references == {(0, 1.0)}
    assert np.abs(found[10].input.face[3:, :40] - found[10].input.face[:3, :40]).max() == 0


def test_frames_without_the_face_have_no_input(jobs):
    found = jobs(EngineOptions(), absent=range(15, 40))
    assert [job.input is None for job in found] == [15 <= index < 40 for index in range(FRAMES)]
    assert found[20].placement is None
    assert 0 < found[14].placement.strength < 1


def test_a_fixed_box_needs_no_face(jobs):
    found = jobs(EngineOptions(box=(40, 200, 80, 240)))
    assert {job.input.key[1:] for job in found} == {(None, 0.0)}
    assert len({(job.placement.crop.x, job.placement.crop.y) for job in found}) == 1


def test_a_fixed_box_outside_the_frame_is_rejected(jobs):
    with pytest.raises(OptionInvalid, match="outside the 320x240 video"):
        jobs(EngineOptions(box=(400, 500, 80, 240)))
