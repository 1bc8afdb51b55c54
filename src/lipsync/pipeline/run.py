"""Run a job: check, probe, analyse the audio, track faces, render, enhance, report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.adapt import Lessons
from lipsync.pipeline.analyse_audio import analyse_audio
from lipsync.pipeline.check import check
from lipsync.pipeline.context import JobOutcome, RenderContext
from lipsync.pipeline.enhance import load_enhancers, needs_edits
from lipsync.pipeline.job import Inputs, Job, NullObserver, OutputObserver, Result
from lipsync.pipeline.oom_retry import retry_smaller_on_oom
from lipsync.pipeline.open_engines import EngineOpener
from lipsync.pipeline.opencv_threads import single_threaded_opencv
from lipsync.pipeline.plan import plan_frames
from lipsync.pipeline.postprocess import postprocess
from lipsync.pipeline.probe import probe_inputs
from lipsync.pipeline.render import render
from lipsync.pipeline.report import report
from lipsync.pipeline.synthesise import open_chains
from lipsync.pipeline.track import track_faces
from lipsync.pipeline.transform import transform_frames, without_photo_transform
from lipsync.speech.audio import SpeechAudio


def run(
    job: Job,
    monitor: Monitor,
    sessions: SessionCache | None = None,
    observer: OutputObserver | None = None,
    inputs: Inputs | None = None,
) -> Result:
    """Run a job. Each output appears complete or not at all; if memory runs out, the resolution is reduced.

    ``sessions``: open model sessions to reuse and keep. ``observer``: notified of each complete file. ``inputs``: the
    job's inputs, if they were probed already.

    Raises InputError, OutputError, ModelError, ExtraMissing, OutOfMemory and Cancelled.
    """
    began, sessions = time.monotonic(), SessionCache() if sessions is None else sessions
    check(job)
    opener = EngineOpener(job, sessions, monitor)
    enhancers = load_enhancers(job.enhancement, sessions, monitor)
    inputs = probe_inputs(job) if inputs is None else inputs
    job = without_photo_transform(job, inputs.video, opener.frame_rules)
    with ExitStack() as stack:
        stack.enter_context(single_threaded_opencv())
        speech = stack.enter_context(analyse_audio(inputs.audio, job, monitor))

        def attempt(smaller: Job) -> JobOutcome:
            spooled = needs_edits(enhancers)
            return stack.enter_context(_lip_sync(smaller, inputs, speech, opener, sessions, monitor, spooled=spooled))

        synced = retry_smaller_on_oom(attempt, job)
        outcome = postprocess(synced, enhancers, monitor, observer or NullObserver())
        return report(job, inputs, outcome, monitor, time.monotonic() - began)


@contextmanager
def _lip_sync(
    job: Job,
    inputs: Inputs,
    speech: SpeechAudio,
    opener: EngineOpener,
    sessions: SessionCache,
    monitor: Monitor,
    *,
    spooled: bool,
) -> Iterator[JobOutcome]:
    """One attempt at the lip-sync itself; its track and edits stay open for the stages after it."""
    engines = opener.engines(job)
    video = transform_frames(inputs.video, job, opener.frame_rules)
    plan = plan_frames(job, engines[0], speech, video.video.rate)
    lessons = Lessons(job, video, inputs.reference, engines, monitor)
    lessons.study(sessions)
    shown = plan.source_limit
    with ExitStack() as stack:
        with lessons.listening(shown):
            studied = lessons.frames(shown)
            tracked = stack.enter_context(
                track_faces(
                    video, shown, job.face_select, engines, sessions, monitor, studied=studied, scratch=job.scratch
                )
            )
        lessons.finish(shown, tracked)
        chains = stack.enter_context(open_chains(engines, job.detail, sessions, job.scratch, spooled=spooled))
        context = RenderContext(job, video, inputs.audio, speech, SmoothedFaces(tracked.head(shown)), plan)
        yield render(context, chains, monitor)
