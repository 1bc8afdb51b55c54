"""The job: check, listen, track, synthesise, encode."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing

from lipsync.engines import ENGINES
from lipsync.engines.base import Engine, Rendered, Scene
from lipsync.errors import OptionInvalid
from lipsync.faces.track import Track
from lipsync.media.audio import Sound, check_sound
from lipsync.media.prefetch import prefetch
from lipsync.media.probe import probe, video_of
from lipsync.media.reader import bounce, bounced
from lipsync.media.writer import check_output, write
from lipsync.monitor import Monitor, Progress, watched
from lipsync.pipeline.job import Job, Result
from lipsync.pipeline.peak import peak_memory
from lipsync.pipeline.threads import one_thread_a_call
from lipsync.pipeline.track import track_faces
from lipsync.types import Clip, Picture

NOTABLE_CLIPPING = 0.01  # share of the samples at full scale


def run(job: Job, monitor: Monitor) -> Result:
    """Do one job; the output appears whole or not at all.

    Raises InputError, OutputError or ModelError with one line for a person, and Cancelled when told to stop.
    """
    began = time.monotonic()
    engine = _engine(job.engine)
    check_output(job.output, (job.face, job.audio), job.encoding)
    footage, sound = probe(job.face, photo_rate=job.photo_rate), probe(job.audio)
    video = video_of(footage)
    heard = _listen(sound, job, monitor)
    frames = max(1, round(heard.duration * video.rate))
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(one_thread_a_call())
        track = stack.enter_context(track_faces(footage, frames, job.select, engine, monitor))
        pictures = stack.enter_context(prefetch(bounce(footage, frames, len(track))))
        rendered = stack.enter_context(closing(engine.synthesise(pictures, Scene(track, sound, video.rate, frames))))
        ready = stack.enter_context(prefetch(watched(rendered, monitor, "render", frames)))
        counted = tally.count(ready)
        written = write(counted, job.output, footage=footage, sound=sound, frames=frames, encoding=job.encoding)
        seen = _frames_with_face(track, frames)
    return Result(
        output=job.output,
        engine=job.engine,
        frames=written.frames,
        faces=seen,
        edited=tally.edited,
        width=written.width,
        height=written.height,
        rate=video.rate,
        duration=heard.duration,
        crop=written.crop,
        seconds=monitor.seconds | {"total": time.monotonic() - began},
        peak_memory=peak_memory(),
        warnings=_warnings(heard, frames, seen, engine),
    )


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise OptionInvalid(f"there is no engine called {name}; there are {', '.join(ENGINES)}")
    return ENGINES[name]()


def _listen(sound: Clip, job: Job, monitor: Monitor) -> Sound:
    began = time.monotonic()
    heard = check_sound(sound, allow_clipped=job.allow_clipped)
    monitor.check()
    monitor.report(Progress("listen", 1, 1, time.monotonic() - began))
    return heard


def _frames_with_face(track: Track, frames: int) -> int:
    return sum(bool(track.present[bounced(i, len(track))]) for i in range(frames))


def _warnings(heard: Sound, frames: int, seen: int, engine: Engine) -> tuple[str, ...]:
    notes = []
    if heard.clipped_share > NOTABLE_CLIPPING:
        notes.append(f"{heard.clipped_share:.0%} of the sound is clipped")
    if engine.needs_faces and seen < frames:
        notes.append(f"the face is not to be seen in {frames - seen} of {frames} frames; they pass through untouched")
    return tuple(notes)


class Tally:
    """Counts the frames that pass by, and those of them that were edited."""

    def __init__(self) -> None:
        self.edited = 0

    def count(self, rendered: Iterable[Rendered]) -> Iterator[Picture]:
        for frame in rendered:
            self.edited += frame.edited
            yield frame.picture
