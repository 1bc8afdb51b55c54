from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines.base import FrameRules, Rendered, Scene
from lipsync.files import SYSTEM_SCRATCH
from lipsync.frames.planes import writable_copy
from lipsync.media.probe import probe_video
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.pipeline.enliven import enliven, enliven_sets, prepare_photo
from lipsync.pipeline.synthesise import EngineChain, synthesise
from lipsync.types import Frame

COUNT = 50


class Dimmer:
    """An engine that darkens one pixel."""

    def __init__(self, rules: FrameRules | None = None) -> None:
        self.frame_rules = rules or FrameRules()

    def synthesise(self, frames: Iterable[Frame], scene: Scene):
        for frame in frames:
            frame.y[300, 300] = 0
            yield Rendered(frame, edited=frame.index == 0)


@pytest.fixture(scope="module")
def clip(photo, save_photo, tmp_path_factory):
    return probe_video(save_photo(tmp_path_factory.mktemp("photo") / "photo.png", photo), photo_rate=Fraction(25))


def rendered(frame, chains, photo):
    frames = (writable_copy(frame) for _ in range(COUNT))
    frame_sets = synthesise(frames, chains, None)
    return list(frame_sets if photo is None else enliven_sets(frame_sets, photo, [chain.engine for chain in chains]))


def test_a_photo_moves_and_counts_as_edited(clip, photo_frame, photo_faces):
    photo = prepare_photo(clip, photo_faces, 1.0)
    sets = rendered(photo_frame, [EngineChain(Dimmer())], photo)
    assert all(one.edited for (one,) in sets)
    last = sets[-1][0].after
    assert np.abs(last.y.astype(int) - photo_frame.y).mean() > 0.3


def test_without_liveliness_only_the_engine_changes_the_photo(clip, photo_frame, photo_faces):
    assert prepare_photo(clip, photo_faces, 0.0) is None
    for (one,) in rendered(photo_frame, [EngineChain(Dimmer())], None):
        expected = writable_copy(photo_frame)
        expected.y[300, 300] = 0
        assert np.array_equal(one.after.y, expected.y)
        assert np.array_equal(one.after.u, photo_frame.u)


def test_a_video_does_not_move(clip, photo_faces):
    assert prepare_photo(replace(clip, still=False), photo_faces, 1.0) is None


def test_an_engine_may_keep_the_photo_still(clip, photo_frame, photo_faces):
    photo = prepare_photo(clip, photo_faces, 1.0)
    chains = [EngineChain(Dimmer(FrameRules(enlivens_photos=False))), EngineChain(Dimmer())]
    still, lively = rendered(photo_frame, chains, photo)[-1]
    assert (still.after.y != photo_frame.y).sum() == 1
    assert (lively.after.y != photo_frame.y).sum() > 1000


def test_the_kept_edits_are_those_of_the_engine_alone(clip, photo_frame, photo_faces):
    photo = prepare_photo(clip, photo_faces, 1.0)
    with SYSTEM_SCRATCH.file() as file:
        spool = EditSpool(file)
        rendered(photo_frame, [EngineChain(Dimmer(), spool=spool)], photo)
        edits = list(spool.replay(writable_copy(photo_frame) for _ in range(COUNT)))
        moved = list(enliven(spool.replay(writable_copy(photo_frame) for _ in range(COUNT)), photo))
    assert (edits[-1].after.y != photo_frame.y).sum() == 1
    (expected,) = rendered(photo_frame, [EngineChain(Dimmer())], photo)[-1]
    assert np.array_equal(moved[-1].after.y, expected.after.y)


def test_the_same_photo_always_moves_in_the_same_way(clip, photo_frame, photo_faces):
    one, other = (
        rendered(photo_frame, [EngineChain(Dimmer())], prepare_photo(clip, photo_faces, 1.0))[-1][0] for _ in range(2)
    )
    assert np.array_equal(one.after.y, other.after.y)
    assert np.array_equal(one.after.v, other.after.v)
