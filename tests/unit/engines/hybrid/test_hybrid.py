from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from lipsync.engines import check_choice
from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.hybrid import open_engine
from lipsync.engines.hybrid.engine import Hybrid
from lipsync.errors import ModelMissing, OptionInvalid
from lipsync.faces.geometry import MESH, canonical_face, fit_pose, opening
from lipsync.faces.region import region_of
from lipsync.media.audio_reader import listen
from lipsync.media.probe import probe
from lipsync.media.reader import ping_pong
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces

OPTIONS = EngineOptions()


class Echo:
    """A generator that gives back the face that it is shown, as one batch of ``batch`` after the other."""

    run_info = RunInfo("cpu", "bf16", 4)

    def __init__(self) -> None:
        self.closed = False
        self.ahead = 0

    def run(self, works, batch, repeats):
        with closing(works):
            try:
                while group := list(islice(works, batch)):
                    self.ahead += len(group)
                    for work in group:
                        yield work, None if work.view is None else work.view.face[3:]
            finally:
                self.closed = True


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def house(echo, speaker, voice):
    engine = Hybrid(echo, OPTIONS, 4, SessionCache())
    footage = probe(speaker)
    with (
        track_faces(footage, 1000, "largest", [engine], SessionCache(), Monitor()) as track,
        listen(probe(voice), allow_clipped=False) as sound,
    ):
        yield engine, footage, Scene(track, sound, Fraction(25), 40)


def test_a_generator_that_changes_nothing_leaves_the_mouth_as_it_is(house, landmarker):
    engine, footage, scene = house
    rest = canonical_face()
    own = scene.track.landmarks(0, 40)
    gaps = []
    for output in engine.synthesise(ping_pong(footage, 40, 40), scene):
        assert output.edited
        face = landmarker.landmarks(output.frame, region_of(own[output.frame.index]))
        gaps.append(opening(fit_pose(face.landmarks[None], rest).to_face(face.landmarks[None, :MESH]))[0])
    true = opening(fit_pose(own, rest).to_face(own[:, :MESH]))
    assert len(gaps) == 40
    assert np.mean(gaps) == pytest.approx(true.mean(), abs=0.02)


def test_the_generator_runs_but_a_few_pictures_ahead(house, echo):
    engine, footage, scene = house
    for given, _ in enumerate(engine.synthesise(ping_pong(footage, 40, 40), scene), 1):
        assert echo.ahead <= given + 40
    assert echo.ahead == 40


def test_left_early_it_closes_the_generator(house, echo):
    engine, footage, scene = house
    frames = engine.synthesise(ping_pong(footage, 40, 40), scene)
    next(frames)
    frames.close()
    assert echo.closed


def test_it_tells_the_generators_conditions(house):
    assert house[0].run_info == Echo.run_info


def test_wav2lip_gan_is_taken_first_then_wav2lip(models_dir, tmp_path):
    for keep in ("wav2lip", "wav2lip-gan"):
        folder = tmp_path / keep
        (folder / "imports").mkdir(parents=True)
        (folder / "graphs").symlink_to(models_dir / "graphs")
        (folder / "imports" / f"{keep}.json").write_text((models_dir / "imports" / f"{keep}.json").read_text())
        assert open_engine(EngineOptions(models_dir=folder), SessionCache(), Monitor()).needs_faces


def test_without_weights_it_says_where_they_come_from(tmp_path):
    with pytest.raises(ModelMissing, match="lipsync models fetch wav2lip-gan --accept-license"):
        open_engine(EngineOptions(models_dir=tmp_path), SessionCache(), Monitor())


@pytest.mark.parametrize("options", [EngineOptions(original=True), EngineOptions(box=(0, 9, 0, 9))])
@pytest.mark.parametrize("names", [["hybrid"], ["wav2lip", "hybrid"]])
def test_what_makes_no_sense_is_refused(names, options):
    with pytest.raises(OptionInvalid, match="hybrid"):
        check_choice(names, options)


def test_a_checkpoint_and_pads_are_welcome():
    check_choice(["hybrid"], EngineOptions(checkpoint="mine", pads=(0, 10, 0, 0)))
