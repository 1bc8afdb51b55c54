from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines.base import Engine
from lipsync.engines.passthrough import Passthrough
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import POINTS, TrackBuilder
from lipsync.media.probe import probe_video
from lipsync.models.session import RunInfo
from lipsync.monitor import Monitor
from lipsync.pipeline.context import JobOutcome, RenderContext
from lipsync.pipeline.job import EngineResult, Enhanced, EnhanceStatus, Inputs, Job, Result
from lipsync.pipeline.plan import Plan
from lipsync.pipeline.report import report
from lipsync.pipeline.synthesise import EngineChain
from lipsync.speech.audio import AudioStats, SpeechAudio
from lipsync.types import Face

JOB = Job(Path("a"), Path("b"), Path("c.mp4"), engines=("rewrite",))
INFO = RunInfo("cpu", "fp32", 1)


class FaceEngine(Passthrough):
    needs_faces = True


@pytest.fixture
def report_of(tmp_path, make_video):
    """Report a job of 10 frames, without a face by default; ``job`` is the one that was run."""
    even = probe_video(make_video(tmp_path / "a.mp4", frames=10))

    def make(
        engine: Engine,
        job: Job = JOB,
        clipped: float = 0.0,
        enhanced: Enhanced | None = None,
        variable: bool = False,
        face: Face | None = None,
        **facts: object,
    ) -> Result:
        video = replace(even, video=replace(even.video, variable=variable))
        speech = SpeechAudio(io.BytesIO(), AudioStats(Fraction(2, 5), 0.5, clipped), 6_400)
        output = replace(EngineResult("rewrite", Path("c.mp4"), 10, INFO, width=320, height=240), **facts)
        with TrackBuilder() as builder:
            for _ in range(10):
                builder.add(face, False)
            with builder.finish(Fraction(25), faceless=True) as track:
                context = RenderContext(job, video, video, speech, SmoothedFaces(track), Plan(10, 10, False))
                outcome = JobOutcome(context, [EngineChain(engine)], (output,), enhanced)
                return report(JOB, Inputs(video, video), outcome, Monitor(), 1.5)

    return make


def test_a_job_without_problems_has_no_warnings(report_of):
    result = report_of(Passthrough())
    assert result.warnings == ()
    assert (result.frames, result.faces, result.width, result.duration) == (10, 0, 320, Fraction(2, 5))
    assert (result.seconds, result.resize_factor) == ({"total": 1.5}, 1)
    assert result.peak_memory > 1 << 20


def test_clipped_audio_and_absent_faces_are_warned_of(report_of):
    assert report_of(FaceEngine(), clipped=0.05).warnings == (
        "5% of the audio is clipped",
        "the face is out of view in 10 of 10 frames, which are copied unchanged",
    )


@pytest.mark.parametrize(("score", "warned"), [(0.96, True), (0.9999, False)])
def test_a_face_that_may_be_masked_or_drawn_is_warned_of(report_of, score, warned):
    warnings = report_of(FaceEngine(), face=Face(np.zeros((POINTS, 3), np.float32), score)).warnings
    assert [warning.split(" (")[0] for warning in warnings] == ["the face may be masked, drawn or no person's"] * warned


def test_an_uneven_frame_rate_is_warned_of(report_of):
    assert report_of(Passthrough(), variable=True).warnings == (
        "the video's frame rate is not constant; frames are repeated or dropped to reach 25 frames/s",
    )


def test_notes_of_the_engine_are_warnings(report_of):
    info = replace(INFO, notes=("the GPU ran out of memory",))
    assert report_of(Passthrough(), edited=0, run_info=info).warnings == (
        "rewrite: no frame was changed",
        "rewrite: the GPU ran out of memory",
    )


def test_a_reduced_resolution_is_warned_of(report_of):
    result = report_of(Passthrough(), replace(JOB, resize_factor=2))
    assert result.warnings == ("memory ran out; the output has 1/2 of the video's resolution",)
    assert result.resize_factor == 2


def test_a_failed_enhancement_and_hints_are_warned_of(report_of):
    failed = Enhanced(EnhanceStatus.FAILED, "timed_out", "enhancing took longer than 3 s")
    assert report_of(Passthrough(), enhanced=failed).warnings == ("not enhanced: enhancing took longer than 3 s",)
    done = Enhanced(EnhanceStatus.COMPLETED, None, "span is better", {"face": replace(INFO, notes=("slow",))})
    assert report_of(Passthrough(), enhanced=done).warnings == ("span is better", "slow")
