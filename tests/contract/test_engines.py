"""What every engine keeps to, whichever it is."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines import ENGINES, WITH_ORIGINAL
from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.passthrough import Passthrough
from lipsync.engines.wav2lip.original import OriginalWav2Lip
from lipsync.frames.order import ping_pong_index
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.media.reader import ping_pong, read
from lipsync.models.devices import DEVICES, PRECISIONS
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces


@pytest.fixture(scope="module")
def open_engine(models_dir):
    """Any engine by name, in its own or in the original's mode."""

    def make(name: str, original: bool = False):
        return ENGINES[name](
            EngineOptions(models_dir=models_dir, original=original, batch_size=8), SessionCache(), Monitor()
        )

    return make


@pytest.fixture(scope="module", params=[*ENGINES, *(f"{name}, original" for name in WITH_ORIGINAL)])
def studied(request, speaker, open_engine):
    """An engine that has seen all of the footage, and where the face is in it."""
    name, _, original = request.param.partition(", ")
    engine = open_engine(name, bool(original))
    footage = probe(speaker)
    with track_faces(footage, 1000, "largest", [engine], SessionCache(), Monitor()) as track:
        yield engine, footage, track


@pytest.fixture(scope="module")
def heard(voice):
    with decode_speech(probe(voice), allow_clipped=False) as sound:
        yield sound


@pytest.fixture(scope="module")
def results(studied, heard):
    engine, footage, track = studied
    frames = 47 if isinstance(engine, OriginalWav2Lip) else 50  # the original leaves out the end
    scene = Scene(track, heard, footage.video.rate, frames)
    given = list(ping_pong(footage, frames, len(track)))
    before = [np.concatenate([p.y.ravel(), p.u.ravel(), p.v.ravel()]) for p in given]
    with closing(engine.synthesise(iter(given), scene)) as frames:
        return before, list(frames)


def test_as_many_frames_as_the_scene_wants_in_order(results):
    _, frames = results
    assert [output.frame.index for output in frames] == [ping_pong_index(i, 40) for i in range(len(frames))]
    assert len(frames) >= 47


def test_size_depth_and_type_stay(results):
    _, frames = results
    for output in frames:
        frame = output.frame
        assert (frame.y.shape, frame.u.shape, frame.v.shape) == ((240, 320), (120, 160), (120, 160))
        assert frame.depth == 8
        assert {plane.dtype for plane in (frame.y, frame.u, frame.v)} == {np.dtype(np.uint8)}


def test_edited_says_whether_the_picture_was_changed(results):
    before, frames = results
    for old, output in zip(before, frames, strict=True):
        frame = output.frame
        new = np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])
        assert output.edited == bool((old != new).any())


def test_an_engine_that_edits_leaves_most_of_the_picture_alone(results):
    before, frames = results
    for old, output in zip(before, frames, strict=True):
        luma = output.frame.y
        changed = (old[: luma.size].reshape(luma.shape) != luma).mean()
        assert changed < 0.35


def test_it_says_how_it_computed(studied, results):
    engine, _, _ = studied
    if not isinstance(engine, Passthrough):
        assert engine.run_info.device in DEVICES
        assert engine.run_info.precision in PRECISIONS
        assert engine.run_info.batch >= 1
        assert engine.run_info.notes == ()


def test_observing_changes_no_picture(speaker, open_engine):
    footage = probe(speaker)
    for name in ENGINES:
        engine = open_engine(name)
        picture = next(read(footage))
        before = picture.y.copy()
        engine.observe(picture, None)
        assert (picture.y == before).all()


def test_synthesis_can_be_left_at_any_time(studied, heard):
    engine, footage, track = studied
    scene = Scene(track, heard, Fraction(25), 50)
    frames = engine.synthesise(ping_pong(footage, 50, len(track)), scene)
    next(frames)
    frames.close()
    assert next(frames, None) is None
