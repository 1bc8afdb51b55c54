"""The job: check, listen, track, synthesise, encode, enhance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from lipsync.media.prefetch import prefetch
from lipsync.media.probe import probe, probe_video
from lipsync.media.transform import transformed
from lipsync.media.writer import Written
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.analyse_audio import analyse_audio
from lipsync.pipeline.chains import engine_chains
from lipsync.pipeline.check import check, open_engines
from lipsync.pipeline.context import RenderContext
from lipsync.pipeline.enhance import Enhancers, load_enhancers
from lipsync.pipeline.job import Job, NullObserver, OutputObserver, Result
from lipsync.pipeline.oom_retry import downscaled, retry_smaller_on_oom, without_framing
from lipsync.pipeline.plan import plan
from lipsync.pipeline.postprocess import finish
from lipsync.pipeline.report import EditCounter, Made, report
from lipsync.pipeline.synthesise import EngineChain, synthesise
from lipsync.pipeline.threads import one_thread_a_call
from lipsync.pipeline.track import track_faces
from lipsync.types import VideoClip


def run(
    job: Job, monitor: Monitor, sessions: SessionCache | None = None, observer: OutputObserver | None = None
) -> Result:
    """Do one job; the outputs appear whole or not at all. Where memory runs out it begins anew with a smaller picture.

    ``sessions``: those that are open already, and that will be of use to the next job. ``observer`` is told of each
    file when it is complete.

    Raises InputError, OutputError or ModelError with one line for a person, OutOfMemory when the smallest picture is
    too large, ExtraMissing, and Cancelled when told to stop.
    """
    began, sessions = time.monotonic(), SessionCache() if sessions is None else sessions
    check(job)
    engines = [open_engines(job, sessions, monitor)]  # before any work, to tell at once what is missing
    enhancers = None if job.enhancement is None else load_enhancers(job.enhancement, sessions, monitor)
    footage, sound = probe_video(job.video, photo_rate=job.photo_rate), probe(job.audio)
    asked = without_framing(job) if footage.still and job.options.original else job  # the original left photos alone
    with analyse_audio(sound, job, monitor) as voice, one_thread_a_call(), ExitStack() as held:

        def attempt(factor: int) -> _Synced:
            if not engines:
                sessions.evict()  # for their memory
            smaller = downscaled(asked, factor)
            opened = engines.pop() if engines else open_engines(smaller, sessions, monitor)
            seen, wanted = _framed(footage, smaller), plan(smaller, voice, footage.video.rate)
            with ExitStack() as stack:
                faces = track_faces(seen, wanted.limit, job.face_select, opened, sessions, monitor)
                context = RenderContext(smaller, seen, sound, voice, stack.enter_context(faces), wanted)
                spooled = enhancers is not None and enhancers.missing is None
                chains = stack.enter_context(engine_chains(smaller, opened, sessions, spooled=spooled))
                tally = EditCounter(len(opened))
                synced = _Synced(context, chains, _lip_sync(context, chains, tally, monitor), tally.edited)
                held.push(stack.pop_all())
                return synced

        synced = retry_smaller_on_oom(attempt, asked.resize_factor)
        made = _finished(synced, enhancers, monitor, observer or NullObserver())
        return report(asked, made, voice.stats, monitor, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Synced:
    """The lip-sync alone: its files, and what it takes to go on with them."""

    context: RenderContext
    chains: Sequence[EngineChain]
    written: Sequence[Written]
    edited: Sequence[int]


def _finished(synced: _Synced, enhancers: Enhancers | None, monitor: Monitor, observer: OutputObserver) -> Made:
    context, chains, written, edited = synced.context, synced.chains, synced.written, synced.edited
    finished = finish(context, chains, enhancers, written, edited, monitor, observer)
    return Made(context, [chain.engine for chain in chains], written[0], finished, edited)


def _lip_sync(
    context: RenderContext, chains: Sequence[EngineChain], tally: EditCounter, monitor: Monitor
) -> list[Written]:
    with ExitStack() as stack:
        pictures = stack.enter_context(prefetch(context.pictures()))
        rows = stack.enter_context(closing(synthesise(pictures, chains, context.scene)))
        ready = tally.count(stack.enter_context(prefetch(watched(rows, monitor, "render", context.plan.frames))))
        return context.write(ready, context.job.plain_outputs)


def _framed(footage: VideoClip, job: Job) -> VideoClip:
    """The footage as it is to be seen: smaller, turned, cut."""
    nearest = job.options.original
    return transformed(footage, resize_factor=job.resize_factor, rotated=job.rotate, crop=job.crop, nearest=nearest)
