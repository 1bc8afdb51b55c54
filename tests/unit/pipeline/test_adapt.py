"""The footage that the engines of a job learn from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.engines.base import Engine
from lipsync.errors import Cancelled, NoFaceFound
from lipsync.faces.track import TrackBuilder
from lipsync.media.probe import probe_video
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.adapt import Lessons
from lipsync.pipeline.job import Job
from lipsync.types import Face


class Pupil(Engine):
    """An engine that remembers what it was taught."""

    needs_faces = True
    adapts = True

    def __init__(self):
        self.heard, self.seen = [], []

    @property
    def run_info(self):
        return None

    def observe(self, frame, face):
        """Ignore it."""

    def listen(self, sound):
        self.heard.append((sound.seconds, sum(map(len, sound.blocks()))))

    def study(self, faces):
        self.seen.append(faces.length)

    def synthesise(self, frames, scene):
        yield from ()


class Idler(Pupil):
    adapts = False


@pytest.fixture(scope="module")
def talk(make_video, tmp_path_factory):
    """Three seconds of video without a face, with a sound."""
    return make_video(tmp_path_factory.mktemp("talk") / "talk.mp4", frames=75, audio_samples=3 * 48_000)


@pytest.fixture(scope="module")
def silent(make_video, tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("silent") / "silent.mp4", frames=75, audio_samples=0)


@pytest.fixture(scope="module")
def reference(speaker, tmp_path_factory):
    """The clip of a face, with a sound."""
    path = tmp_path_factory.mktemp("reference") / "reference.mp4"
    with av.open(str(speaker)) as source, av.open(str(path), "w") as out:
        video, audio = out.add_stream_from_template(source.streams.video[0]), out.add_stream("aac", rate=48_000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.int16), "s16", "mono")
        block.sample_rate = 48_000
        out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    return path


def lessons(pupil, video, *, reference=None, **fields):
    job = replace(Job(video, Path("voice.wav"), Path("out.mp4")), reference=reference, **fields)
    clip = None if reference is None else probe_video(reference)
    return Lessons(job, probe_video(video), clip, [pupil], Monitor())


def test_the_videos_own_sound_is_heard_during_the_first_pass(talk):
    pupil = Pupil()
    with lessons(pupil, talk).listening(75):
        pass
    [(seconds, samples)] = pupil.heard
    assert seconds == 3
    assert samples == pytest.approx(48_000, abs=2000)


def test_no_more_is_heard_than_the_output_shows(talk):
    pupil = Pupil()
    with lessons(pupil, talk).listening(60):
        pass
    [(seconds, samples)] = pupil.heard
    assert seconds == Fraction(60, 25)
    assert samples <= 2.4 * 16_000


@pytest.mark.parametrize("fields", [{"adapts": False}, {"audio": "video"}])
def test_nothing_is_heard_if_it_is_off_or_the_video_is_driven_by_its_own_sound(talk, fields):
    pupil = Pupil()
    fields = {"audio": talk} if "audio" in fields else fields
    taught = lessons(pupil, talk, **fields)
    taught.study(SessionCache())
    with taught.listening(75):
        pass
    assert not pupil.heard


def test_a_video_without_sound_and_an_engine_that_does_not_adapt_are_left_alone(silent, talk):
    pupil, idler = Pupil(), Idler()
    with lessons(pupil, silent).listening(75), lessons(idler, talk).listening(75):
        pass
    assert not pupil.heard
    assert not idler.heard


def test_a_video_much_longer_than_the_output_is_heard_and_tracked_in_full(talk):
    pupil = Pupil()
    taught = lessons(pupil, talk)
    with taught.listening(10):
        pass
    assert [seconds for seconds, _ in pupil.heard] == [3]
    assert taught.frames(10) == 75


def test_a_video_whose_frames_mostly_show_in_the_output_is_tracked_as_far_as_that(talk):
    assert lessons(Pupil(), talk).frames(40) == 40


def test_the_track_of_a_video_much_longer_than_the_output_is_studied(talk):
    pupil = Pupil()
    taught = lessons(pupil, talk)
    with TrackBuilder() as builder:
        for _ in range(75):
            builder.add(Face(np.zeros((478, 3), np.float32), 1.0), cut=False)
        with builder.finish(Fraction(25)) as track:
            taught.finish(40, track)
            assert not pupil.seen
            taught.finish(10, track)
            assert pupil.seen == [75]


def test_a_reference_is_seen_and_heard(reference, silent):
    pupil = Pupil()
    lessons(pupil, silent, reference=reference).study(SessionCache())
    assert len(pupil.heard) == 1
    assert pupil.seen == [40]


def test_a_reference_without_a_face_is_refused(talk, silent):
    with pytest.raises(NoFaceFound):
        lessons(Pupil(), silent, reference=talk).study(SessionCache())


def test_an_error_in_the_first_pass_stops_the_listening(talk):
    class Slow(Pupil):
        def listen(self, sound):
            while True:
                super().listen(sound)

    pupil = Slow()
    with pytest.raises(ZeroDivisionError), lessons(pupil, talk).listening(75):
        raise ZeroDivisionError


def test_an_error_while_listening_is_raised(talk):
    class Broken(Pupil):
        def listen(self, sound):
            raise Cancelled("stopped")

    with pytest.raises(Cancelled), lessons(Broken(), talk).listening(75):
        pass
