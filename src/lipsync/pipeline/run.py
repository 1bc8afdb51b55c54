"""The job: check, listen, track, synthesise, encode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing

from lipsync.engines.base import Engine, Scene
from lipsync.media.audio import Voice
from lipsync.media.framing import reframed
from lipsync.media.prefetch import prefetch
from lipsync.media.probe import probe, video_of
from lipsync.media.writer import write
from lipsync.models.networks import Networks
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.check import check, open_engines
from lipsync.pipeline.job import Job, Result
from lipsync.pipeline.listen import heard
from lipsync.pipeline.plan import plan
from lipsync.pipeline.report import Made, Tally, faces_shown, report
from lipsync.pipeline.shrink import first_that_fits, shrunk, without_framing
from lipsync.pipeline.synthesise import synthesise
from lipsync.pipeline.threads import one_thread_a_call
from lipsync.pipeline.track import track_faces
from lipsync.types import Clip


def run(job: Job, monitor: Monitor, networks: Networks | None = None) -> Result:
    """Do one job; the outputs appear whole or not at all. Where memory runs out it begins anew with a smaller picture.

    ``networks``: those that are open already, and that will be of use to the next job.

    Raises InputError, OutputError or ModelError with one line for a person, OutOfMemory when the smallest picture is
    too large, ExtraMissing, and Cancelled when told to stop.
    """
    began, networks = time.monotonic(), Networks() if networks is None else networks
    check(job)
    engines = [open_engines(job, networks, monitor)]  # before any work, to tell at once what is missing
    footage, sound = probe(job.face, photo_rate=job.photo_rate), probe(job.audio)
    asked = without_framing(job) if footage.still and job.options.faithful else job  # the original left photos alone
    with heard(sound, job, monitor) as voice:

        def attempt(factor: int) -> Made:
            smaller = shrunk(asked, factor)
            if not engines:
                networks.forget()  # for their memory
            opened = engines.pop() if engines else open_engines(smaller, networks, monitor)
            return _attempt(smaller, opened, _framed(footage, smaller), sound, voice, networks, monitor)

        made = first_that_fits(attempt, asked.resize_factor)
        return report(asked, made, voice.facts, monitor, time.monotonic() - began)


def _attempt(
    job: Job,
    engines: Sequence[Engine],
    footage: Clip,
    sound: Clip,
    voice: Voice,
    networks: Networks,
    monitor: Monitor,
) -> Made:
    """Follow the face, then give every frame its new mouth and encode it."""
    rate, tally = video_of(footage).rate, Tally(len(engines))
    wanted = plan(job, voice, rate)
    frames = wanted.frames
    with ExitStack() as stack:
        stack.enter_context(one_thread_a_call())
        track = stack.enter_context(track_faces(footage, wanted.limit, job.select, engines, networks, monitor))
        pictures = stack.enter_context(prefetch(wanted.pictures(footage, len(track))))
        scene = Scene(track, voice, rate, frames, job.delay)
        rows = stack.enter_context(closing(synthesise(pictures, engines, scene)))
        ready = tally.count(stack.enter_context(prefetch(watched(rows, monitor, "render", frames))))
        written = write(ready, job.outputs, footage=footage, sound=sound, frames=frames, encoding=job.encoding)
        return Made(job, engines, written, tally.edited, faces_shown(track, wanted), rate)


def _framed(footage: Clip, job: Job) -> Clip:
    """The footage as it is to be seen: smaller, turned, cut."""
    plainly = job.options.faithful
    return reframed(footage, shrink=job.resize_factor, turned=job.rotated, crop=job.crop, plainly=plainly)
