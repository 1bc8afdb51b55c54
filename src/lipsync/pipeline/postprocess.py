"""What comes after the lip-sync: the enhanced files, and copies with another offset of the sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lipsync.files import write_errors
from lipsync.media.av_offset import variant_name, variant_path, write_variant
from lipsync.media.writer import Written
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.context import Take
from lipsync.pipeline.enhance import Kit, Part, enhance
from lipsync.pipeline.job import FINAL_VARIANT, PLAIN_VARIANT, EngineResult, Enhanced, Receiver, Step
from lipsync.pipeline.synthesise import Line

WORST = (Step.FAILED, Step.COMPLETED, Step.SKIPPED)  # of several engines' steps, the first of these that there is


@dataclass(frozen=True, slots=True)
class Finished:
    """All files, the final ones first, and what became of the enhancement; None if nobody asked for it."""

    outputs: tuple[EngineResult, ...]
    enhanced: Enhanced | None = None


def finish(
    take: Take,
    lines: Sequence[Line],
    kit: Kit | None,
    written: Sequence[Written],
    edited: Sequence[int],
    monitor: Monitor,
    receiver: Receiver,
) -> Finished:
    """Tell of the lip-sync's files, and make what else was asked for.

    Raises DiskFull, OutputUnwritable, EncodeFailed for the copies, Cancelled, and what the receiver raises.
    """
    plain = [
        _told(
            EngineResult(name, file.path, count, line.engine.conditions, PLAIN_VARIANT if kit else FINAL_VARIANT),
            file,
            take,
        )
        for name, file, count, line in zip(take.job.engines, written, edited, lines, strict=True)
    ]
    for output in plain:
        receiver.made(output)
    done = Finished(tuple(plain)) if kit is None else _enhanced(take, lines, kit, plain, receiver)
    finals = done.outputs[: len(plain)]
    if not take.job.offsets:
        return done
    copies = watched(_copies(take, finals, receiver), monitor, "offsets", len(finals) * len(take.job.offsets))
    return replace(done, outputs=(*done.outputs, *copies))


def _enhanced(
    take: Take, lines: Sequence[Line], kit: Kit, plain: Sequence[EngineResult], receiver: Receiver
) -> Finished:
    finals, others, ends = [], [], []
    for place, (line, before, output) in enumerate(zip(lines, plain, take.job.outputs, strict=True)):
        receiver.enhancing(Enhanced(Step.PROCESSING))
        end, written = enhance(take, line, kit, output, Part(place, len(lines)))
        ends.append(end)
        if written is None:
            with write_errors(output):
                before.output.replace(output)
            finals.append(replace(before, output=output))
            continue
        finals.append(_told(replace(before, variant=FINAL_VARIANT), written, take))
        others.append(before)
        receiver.made(finals[-1])
    end = min(ends, key=lambda one: WORST.index(one.step))
    receiver.enhancing(end)
    return Finished((*finals, *others), end)


def _copies(take: Take, finals: Sequence[EngineResult], receiver: Receiver) -> Iterator[EngineResult]:
    for final in finals:
        for offset in take.job.offsets:
            output = variant_path(final.output, offset)
            write_variant(final.output, output, sound=take.sound, offset=offset, encoding=take.job.encoding)
            copy = replace(final, output=output, variant=variant_name(offset))
            receiver.made(copy)
            yield copy


def _told(output: EngineResult, file: Written, take: Take) -> EngineResult:
    """With what the file is like."""
    return replace(
        output,
        output=file.path,
        width=file.width,
        height=file.height,
        crop=file.crop,
        duration=take.voice.facts.duration,
    )
