"""The contract of all engines, in every mode."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from lipsync.engines import ENGINES
from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.passthrough import Passthrough
from lipsync.engines.wav2lip.original import OriginalWav2Lip
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.frames.order import ping_pong_index
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.media.reader import ping_pong, read
from lipsync.models.devices import DEVICES, PRECISIONS
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces
from lipsync.types import Frame

WITH_ORIGINAL = tuple(name for name, info in ENGINES.items() if info.has_original)


@pytest.fixture(scope="module")
def open_engine(models_dir):
    """A function that opens an engine by name, in its default or in the original mode."""

    def open_by_name(name: str, original: bool = False):
        return ENGINES[name].open(
            EngineOptions(models_dir=models_dir, original=original, batch_size=8), SessionCache(), Monitor()
        )

    return open_by_name


MODES = [*ENGINES, *(f"{name}, original" for name in WITH_ORIGINAL)]


@pytest.fixture(scope="module", params=MODES)
def observed(request, speaker, open_engine):
    """An engine that has observed the whole video, the video, and the track of its face."""
    name, _, original = request.param.partition(", ")
    engine = open_engine(name, bool(original))
    clip = probe(speaker)
    with track_faces(clip, 1000, "largest", [engine], SessionCache(), Monitor()) as track:
        yield engine, clip, track


@pytest.fixture(scope="module")
def speech(voice):
    with decode_speech(probe(voice), allow_clipped=False) as audio:
        yield audio


@pytest.fixture(scope="module")
def results(observed, speech):
    engine, clip, track = observed
    frames = 47 if isinstance(engine, OriginalWav2Lip) else 50  # the original leaves out the end
    scene = Scene(SmoothedFaces(track), speech, clip.video.rate, frames)
    inputs = list(ping_pong(clip, frames, len(track)))
    before = [samples(frame) for frame in inputs]
    with closing(engine.synthesise(iter(inputs), scene)) as outputs:
        return before, list(outputs)


def samples(frame: Frame) -> np.ndarray:
    """All samples of all planes."""
    return np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])


def test_it_yields_the_scenes_frames_in_order(results):
    _, frames = results
    assert [output.frame.index for output in frames] == [ping_pong_index(i, 40) for i in range(len(frames))]
    assert len(frames) >= 47


def test_size_depth_and_type_are_unchanged(results):
    _, frames = results
    for output in frames:
        frame = output.frame
        assert (frame.y.shape, frame.u.shape, frame.v.shape) == ((240, 320), (120, 160), (120, 160))
        assert frame.depth == 8
        assert {plane.dtype for plane in (frame.y, frame.u, frame.v)} == {np.dtype(np.uint8)}


def test_edited_is_true_exactly_for_changed_frames(results):
    before, frames = results
    for old, output in zip(before, frames, strict=True):
        assert output.edited == bool((old != samples(output.frame)).any())


def test_most_of_a_frame_is_unchanged(results):
    before, frames = results
    for old, output in zip(before, frames, strict=True):
        luma = output.frame.y
        changed = (old[: luma.size].reshape(luma.shape) != luma).mean()
        assert changed < 0.35


def test_it_reports_how_it_computed(observed, results):
    engine, _, _ = observed
    if not isinstance(engine, Passthrough):
        assert engine.run_info.device in DEVICES
        assert engine.run_info.precision in PRECISIONS
        assert engine.run_info.batch >= 1
        assert engine.run_info.notes == ()


@pytest.mark.parametrize("mode", MODES)
def test_observing_changes_no_frame(mode, speaker, open_engine, landmarker):
    name, _, original = mode.partition(", ")
    engine = open_engine(name, bool(original))
    for frame in islice(read(probe(speaker)), 3):
        (face,) = landmarker.find(frame)
        before = samples(frame)
        engine.observe(frame, face)
        assert (samples(frame) == before).all()
        engine.observe(frame, None)
        assert (samples(frame) == before).all()


def test_synthesis_can_be_closed_at_any_time(observed, speech):
    engine, clip, track = observed
    scene = Scene(SmoothedFaces(track), speech, Fraction(25), 50)
    frames = engine.synthesise(ping_pong(clip, 50, len(track)), scene)
    next(frames)
    frames.close()
    assert next(frames, None) is None
