"""The first pass over the video."""

from __future__ import annotations

import pytest

from lipsync.engines.passthrough import Passthrough
from lipsync.errors import MediaTruncated
from lipsync.media import reader
from lipsync.media.probe import probe_video
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline import track
from lipsync.pipeline.track import track_faces


class Observer(Passthrough):
    needs_faces = True

    def __init__(self):
        self.observed = []

    def observe(self, frame, face):
        self.observed.append(frame.index)


@pytest.fixture
def breaking(monkeypatch):
    """Reading fails at frame 20."""

    def read(*arguments, **options):
        for frame in reader.read(*arguments, **options):
            if frame.index == 20:
                raise MediaTruncated("the rest is missing")
            yield frame

    monkeypatch.setattr(track, "read", read)


def follow(speaker, engine, limit, studied):
    return track_faces(probe_video(speaker), limit, "largest", [engine], SessionCache(), Monitor(), studied=studied)


def test_frames_that_are_only_studied_are_tracked_but_not_observed(speaker):
    engine = Observer()
    with follow(speaker, engine, 10, 30) as faces:
        assert len(faces) == 30
        assert faces.detected.all()
    assert engine.observed == list(range(10))


def test_what_is_only_studied_may_be_unreadable(speaker, breaking):
    with follow(speaker, Observer(), 10, 30) as faces:
        assert 10 <= len(faces) <= 20


def test_what_the_output_shows_must_be_readable(speaker, breaking):
    with pytest.raises(MediaTruncated), follow(speaker, Observer(), 30, 30):
        pass
