"""What is told of a finished job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lipsync.engines.base import Engine
from lipsync.media.writer import Written
from lipsync.monitor import Monitor
from lipsync.pipeline.context import RenderContext
from lipsync.pipeline.job import EnhanceStatus, Job, Result
from lipsync.pipeline.peak import peak_memory
from lipsync.pipeline.postprocess import Postprocessed
from lipsync.pipeline.synthesise import FrameSet
from lipsync.speech.audio import AudioStats
from lipsync.types import Frame

NOTABLE_CLIPPING = 0.01  # share of the samples at full scale


class EditCounter:
    """Counts, for each engine, the frames that were edited among those that pass by."""

    def __init__(self, engines: int) -> None:
        self.edited = [0] * engines

    def count(self, rows: Iterable[FrameSet]) -> Iterator[tuple[Frame, ...]]:
        for row in rows:
            for place, frame in enumerate(row):
                self.edited[place] += frame.edited
            yield tuple(frame.after for frame in row)


@dataclass(frozen=True, slots=True)
class Made:
    """What one attempt at a job gave: its files, and how many frames each engine edited.

    ``context``: with the job as it was done, maybe with a smaller picture than was asked for; its track knows the
    frames with a face, but no more their landmarks. ``first``: the lip-sync's first file.
    """

    context: RenderContext
    engines: Sequence[Engine]
    first: Written
    finished: Postprocessed
    edited: Sequence[int]

    @property
    def faces(self) -> int:
        """The frames of the output in which the followed face was seen or bridged."""
        track, plan = self.context.track, self.context.plan
        return sum(bool(track.present[plan.shown(i, len(track))]) for i in range(plan.frames))


def report(job: Job, made: Made, sound: AudioStats, monitor: Monitor, seconds: float) -> Result:
    """The result of a job that took ``seconds`` in all."""
    final = made.finished.outputs[0]
    return Result(
        outputs=made.finished.outputs,
        frames=made.first.frame_count,
        faces=made.faces,
        width=final.width,
        height=final.height,
        rate=made.context.rate,
        duration=sound.duration,
        padding=final.padding,
        resize_factor=made.context.job.resize_factor,
        seconds=monitor.seconds | {"total": seconds},
        peak_memory=peak_memory(),
        warnings=tuple(_warnings(job, made, sound)),
        enhanced=made.finished.enhanced,
    )


def _warnings(job: Job, made: Made, sound: AudioStats) -> Iterator[str]:
    frames, enhanced = made.first.frame_count, made.finished.enhanced
    if sound.clipped_share > NOTABLE_CLIPPING:
        yield f"{sound.clipped_share:.0%} of the sound is clipped"
    if any(engine.needs_faces for engine in made.engines) and made.faces < frames:
        missing = frames - made.faces
        yield f"the face is not to be seen in {missing} of {frames} frames; they pass through untouched"
    for name, engine, edited in zip(job.engines, made.engines, made.edited, strict=True):
        if engine.run_info is not None:
            if not edited:
                yield f"{name}: no frame was changed"
            yield from (f"{name}: {note}" for note in engine.run_info.notes)
    factor = made.context.job.resize_factor
    if factor > job.resize_factor:
        yield f"memory ran out; the picture is {factor} times smaller than the footage"
    if enhanced is not None and enhanced.status is not EnhanceStatus.COMPLETED:
        yield f"not enhanced: {enhanced.message}"
    if enhanced is not None:
        if enhanced.status is EnhanceStatus.COMPLETED and enhanced.message:
            yield enhanced.message
        yield from (note for run_info in enhanced.run_info.values() for note in run_info.notes)
