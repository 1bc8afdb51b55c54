"""The job: check, listen, track, render, encode."""

from __future__ import annotations

from contextlib import ExitStack, closing

from lipsync.engines import ENGINES
from lipsync.engines.base import Scene
from lipsync.errors import OptionInvalid
from lipsync.media.audio import check_sound
from lipsync.media.prefetch import prefetch
from lipsync.media.probe import probe, video_of
from lipsync.media.reader import bounce
from lipsync.media.writer import check_output, write
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.job import Job, Result
from lipsync.pipeline.peak import peak_memory
from lipsync.pipeline.track import track_faces


def run(job: Job, monitor: Monitor) -> Result:
    """Do one job; the output appears whole or not at all.

    Raises InputError, OutputError or ModelError with one line for a person, Cancelled when the monitor was told to stop.
    """
    check_engine(job.engine)
    check_output(job.output, (job.face, job.audio), job.encoding)
    footage = probe(job.face, photo_rate=job.photo_rate)
    video = video_of(footage)
    sound = probe(job.audio)
    heard = check_sound(sound, allow_clipped=job.allow_clipped)
    frames = max(1, round(heard.duration * video.rate))
    engine = ENGINES[job.engine]()
    with ExitStack() as stack:
        track = stack.enter_context(track_faces(footage, frames, job.select, engine, monitor))
        scene = Scene(track, sound, video.rate, frames)
        pictures = stack.enter_context(prefetch(bounce(footage, frames, len(track))))
        rendered = stack.enter_context(closing(engine.synthesise(pictures, scene)))
        ready = stack.enter_context(prefetch(watched(rendered, monitor, "render", frames)))
        tally = Tally()
        written = write(tally.count(ready), job.output, footage=footage, sound=sound, frames=frames, encoding=job.encoding)
    return Result()
