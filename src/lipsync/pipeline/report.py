"""What is told of a finished job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lipsync.engines.base import Engine
from lipsync.faces.track import Track
from lipsync.media.audio import Sound
from lipsync.media.writer import Written
from lipsync.monitor import Monitor
from lipsync.pipeline.job import EngineResult, Job, Result
from lipsync.pipeline.peak import peak_memory
from lipsync.pipeline.plan import Plan
from lipsync.pipeline.synthesise import Row
from lipsync.types import Picture

NOTABLE_CLIPPING = 0.01  # share of the samples at full scale


class Tally:
    """Counts, for each engine, the frames that were edited among those that pass by."""

    def __init__(self, engines: int) -> None:
        self.edited = [0] * engines

    def count(self, rows: Iterable[Row]) -> Iterator[tuple[Picture, ...]]:
        for row in rows:
            for place, frame in enumerate(row):
                self.edited[place] += frame.edited
            yield tuple(frame.picture for frame in row)


@dataclass(frozen=True, slots=True)
class Made:
    """What one attempt at a job gave: its files, how many frames each engine edited, in how many there was a face.

    ``job``: as it was done, maybe with a smaller picture than was asked for.
    """

    job: Job
    engines: Sequence[Engine]
    written: Sequence[Written]
    edited: Sequence[int]
    faces: int
    rate: Fraction


def faces_shown(track: Track, plan: Plan) -> int:
    """The frames of the output in which the followed face was seen or bridged."""
    return sum(bool(track.present[plan.shown(i, len(track))]) for i in range(plan.frames))


def report(job: Job, made: Made, sound: Sound, monitor: Monitor, seconds: float) -> Result:
    """The result of a job that took ``seconds`` in all."""
    first = made.written[0]
    outputs = [
        EngineResult(name, written.path, edited, engine.conditions)
        for name, written, edited, engine in zip(job.engines, made.written, made.edited, made.engines, strict=True)
    ]
    return Result(
        outputs=tuple(outputs),
        frames=first.frames,
        faces=made.faces,
        width=first.width,
        height=first.height,
        rate=made.rate,
        duration=sound.duration,
        crop=first.crop,
        resize_factor=made.job.resize_factor,
        seconds=monitor.seconds | {"total": seconds},
        peak_memory=peak_memory(),
        warnings=tuple(_warnings(job, made, sound)),
    )


def _warnings(job: Job, made: Made, sound: Sound) -> Iterator[str]:
    frames = made.written[0].frames
    if sound.clipped_share > NOTABLE_CLIPPING:
        yield f"{sound.clipped_share:.0%} of the sound is clipped"
    if any(engine.needs_faces for engine in made.engines) and made.faces < frames:
        missing = frames - made.faces
        yield f"the face is not to be seen in {missing} of {frames} frames; they pass through untouched"
    for name, engine, edited in zip(job.engines, made.engines, made.edited, strict=True):
        if engine.conditions is not None:
            if not edited:
                yield f"{name}: no frame was changed"
            yield from (f"{name}: {note}" for note in engine.conditions.notes)
    if made.job.resize_factor > job.resize_factor:
        yield f"memory ran out; the picture is {made.job.resize_factor} times smaller than the footage"
