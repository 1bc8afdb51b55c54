from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from lipsync.engines import check_engines
from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.hybrid import open_engine
from lipsync.engines.hybrid.engine import Hybrid
from lipsync.errors import ModelMissing, OptionInvalid
from lipsync.faces.geometry import MESH, canonical_face, fit_pose, opening
from lipsync.faces.region import region_of
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.media.reader import ping_pong
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces

OPTIONS = EngineOptions()


class Echo:
    """A generator that returns its reference face, in batches of ``batch``."""

    run_info = RunInfo("cpu", "bf16", 4)

    def __init__(self) -> None:
        self.closed = False
        self.ahead = 0

    def run(self, jobs, batch, repeats):
        with closing(jobs):
            try:
                while group := list(islice(jobs, batch)):
                    self.ahead += len(group)
                    for job in group:
                        yield job, None if job.input is None else job.input.face[3:]
            finally:
                self.closed = True


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def job(echo, speaker, voice):
    engine = Hybrid(echo, OPTIONS, 4, SessionCache())
    footage = probe(speaker)
    with (
        track_faces(footage, 1000, "largest", [engine], SessionCache(), Monitor()) as track,
        decode_speech(probe(voice), allow_clipped=False) as recording,
    ):
        yield engine, footage, Scene(SmoothedFaces(track), recording, Fraction(25), 40)


def test_a_generator_that_changes_nothing_leaves_the_mouth_as_it_is(job, landmarker):
    engine, footage, scene = job
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


def test_the_generator_runs_only_a_few_frames_ahead(job, echo):
    engine, footage, scene = job
    for given, _ in enumerate(engine.synthesise(ping_pong(footage, 40, 40), scene), 1):
        assert echo.ahead <= given + 40
    assert echo.ahead == 40


def test_closing_it_early_closes_the_generator(job, echo):
    engine, footage, scene = job
    frames = engine.synthesise(ping_pong(footage, 40, 40), scene)
    next(frames)
    frames.close()
    assert echo.closed


def test_it_reports_the_generators_run_info(job):
    assert job[0].run_info == Echo.run_info


def test_wav2lip_gan_is_preferred_to_wav2lip(models_dir, tmp_path):
    for keep in ("wav2lip", "wav2lip-gan"):
        folder = tmp_path / keep
        (folder / "imports").mkdir(parents=True)
        (folder / "graphs").symlink_to(models_dir / "graphs")
        (folder / "imports" / f"{keep}.json").write_text((models_dir / "imports" / f"{keep}.json").read_text())
        assert open_engine(EngineOptions(models_dir=folder), SessionCache(), Monitor()).needs_faces


def test_without_weights_the_error_names_the_command_to_fetch_them(tmp_path):
    with pytest.raises(ModelMissing, match="lipsync models fetch wav2lip-gan --accept-license"):
        open_engine(EngineOptions(models_dir=tmp_path), SessionCache(), Monitor())


@pytest.mark.parametrize("options", [EngineOptions(original=True), EngineOptions(box=(0, 9, 0, 9))])
@pytest.mark.parametrize("names", [["hybrid"], ["wav2lip", "hybrid"]])
def test_options_that_hybrid_does_not_support_are_rejected(names, options):
    with pytest.raises(OptionInvalid, match="hybrid"):
        check_engines(names, options)


def test_a_checkpoint_and_pads_are_supported():
    check_engines(["hybrid"], EngineOptions(checkpoint="mine", pads=(0, 10, 0, 0)))
