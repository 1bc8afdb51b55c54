"""The job: check, listen, track, synthesise, encode, enhance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from lipsync.media.prefetch import prefetch
from lipsync.media.probe import probe, video_of
from lipsync.media.transform import reframed
from lipsync.media.writer import Written
from lipsync.models.session_cache import Networks
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.analyse_audio import heard
from lipsync.pipeline.check import check, open_engines
from lipsync.pipeline.context import Take
from lipsync.pipeline.enhance import Kit, open_kit
from lipsync.pipeline.job import Job, Nobody, Receiver, Result
from lipsync.pipeline.lines import lines_of
from lipsync.pipeline.oom_retry import first_that_fits, shrunk, without_framing
from lipsync.pipeline.plan import plan
from lipsync.pipeline.postprocess import finish
from lipsync.pipeline.report import Made, Tally, report
from lipsync.pipeline.synthesise import Line, synthesise
from lipsync.pipeline.threads import one_thread_a_call
from lipsync.pipeline.track import track_faces
from lipsync.types import Clip


def run(job: Job, monitor: Monitor, networks: Networks | None = None, receiver: Receiver | None = None) -> Result:
    """Do one job; the outputs appear whole or not at all. Where memory runs out it begins anew with a smaller picture.

    ``networks``: those that are open already, and that will be of use to the next job. ``receiver`` is told of each
    file when it is complete.

    Raises InputError, OutputError or ModelError with one line for a person, OutOfMemory when the smallest picture is
    too large, ExtraMissing, and Cancelled when told to stop.
    """
    began, networks = time.monotonic(), Networks() if networks is None else networks
    check(job)
    engines = [open_engines(job, networks, monitor)]  # before any work, to tell at once what is missing
    kit = None if job.enhancement is None else open_kit(job.enhancement, networks, monitor)
    footage, sound = probe(job.face, photo_rate=job.photo_rate), probe(job.audio)
    asked = without_framing(job) if footage.still and job.options.faithful else job  # the original left photos alone
    with heard(sound, job, monitor) as voice, one_thread_a_call(), ExitStack() as held:

        def attempt(factor: int) -> _Synced:
            if not engines:
                networks.forget()  # for their memory
            smaller = shrunk(asked, factor)
            opened = engines.pop() if engines else open_engines(smaller, networks, monitor)
            seen, wanted = _framed(footage, smaller), plan(smaller, voice, video_of(footage).rate)
            with ExitStack() as stack:
                faces = track_faces(seen, wanted.limit, job.select, opened, networks, monitor)
                take = Take(smaller, seen, sound, voice, stack.enter_context(faces), wanted)
                spooled = kit is not None and kit.missing is None
                lines = stack.enter_context(lines_of(smaller, opened, networks, spooled=spooled))
                tally = Tally(len(opened))
                synced = _Synced(take, lines, _lip_sync(take, lines, tally, monitor), tally.edited)
                held.push(stack.pop_all())
                return synced

        synced = first_that_fits(attempt, asked.resize_factor)
        made = _finished(synced, kit, monitor, receiver or Nobody())
        return report(asked, made, voice.facts, monitor, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Synced:
    """The lip-sync alone: its files, and what it takes to go on with them."""

    take: Take
    lines: Sequence[Line]
    written: Sequence[Written]
    edited: Sequence[int]


def _finished(synced: _Synced, kit: Kit | None, monitor: Monitor, receiver: Receiver) -> Made:
    take, lines, written, edited = synced.take, synced.lines, synced.written, synced.edited
    finished = finish(take, lines, kit, written, edited, monitor, receiver)
    return Made(take, [line.engine for line in lines], written[0], finished, edited)


def _lip_sync(take: Take, lines: Sequence[Line], tally: Tally, monitor: Monitor) -> list[Written]:
    with ExitStack() as stack:
        pictures = stack.enter_context(prefetch(take.pictures()))
        rows = stack.enter_context(closing(synthesise(pictures, lines, take.scene)))
        ready = tally.count(stack.enter_context(prefetch(watched(rows, monitor, "render", take.plan.frames))))
        return take.write(ready, take.job.plain_outputs)


def _framed(footage: Clip, job: Job) -> Clip:
    """The footage as it is to be seen: smaller, turned, cut."""
    plainly = job.options.faithful
    return reframed(footage, shrink=job.resize_factor, turned=job.rotated, crop=job.crop, plainly=plainly)
