"""What comes after the lip-sync: the enhanced files, and copies with another offset of the sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lipsync.files import write_errors
from lipsync.media.av_offset import av_offset_name, av_offset_path, write_av_offset_copy
from lipsync.media.writer import Written
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.context import RenderContext
from lipsync.pipeline.enhance import Enhancers, Position, enhance
from lipsync.pipeline.job import FINAL_VARIANT, PLAIN_VARIANT, EngineResult, Enhanced, EnhanceStatus, OutputObserver
from lipsync.pipeline.synthesise import EngineChain

WORST = (
    EnhanceStatus.FAILED,
    EnhanceStatus.COMPLETED,
    EnhanceStatus.SKIPPED,
)  # of several engines' steps, the first of these that there is


@dataclass(frozen=True, slots=True)
class Postprocessed:
    """All files, the final ones first, and what became of the enhancement; None if nobody asked for it."""

    outputs: tuple[EngineResult, ...]
    enhanced: Enhanced | None = None


def finish(
    context: RenderContext,
    chains: Sequence[EngineChain],
    enhancers: Enhancers | None,
    written: Sequence[Written],
    edited: Sequence[int],
    monitor: Monitor,
    observer: OutputObserver,
) -> Postprocessed:
    """Tell of the lip-sync's files, and make what else was asked for.

    Raises DiskFull, OutputUnwritable, EncodeFailed for the copies, Cancelled, and what the receiver raises.
    """
    plain = [
        _told(
            EngineResult(name, file.path, count, chain.engine.run_info, PLAIN_VARIANT if enhancers else FINAL_VARIANT),
            file,
            context,
        )
        for name, file, count, chain in zip(context.job.engines, written, edited, chains, strict=True)
    ]
    for output in plain:
        observer.on_output(output)
    done = Postprocessed(tuple(plain)) if enhancers is None else _enhanced(context, chains, enhancers, plain, observer)
    finals = done.outputs[: len(plain)]
    if not context.job.offset_copies:
        return done
    copies = watched(
        _copies(context, finals, observer), monitor, "offsets", len(finals) * len(context.job.offset_copies)
    )
    return replace(done, outputs=(*done.outputs, *copies))


def _enhanced(
    context: RenderContext,
    chains: Sequence[EngineChain],
    enhancers: Enhancers,
    plain: Sequence[EngineResult],
    observer: OutputObserver,
) -> Postprocessed:
    finals, others, ends = [], [], []
    for place, (chain, before, output) in enumerate(zip(chains, plain, context.job.outputs, strict=True)):
        observer.on_enhancement(Enhanced(EnhanceStatus.PROCESSING))
        end, written = enhance(context, chain, enhancers, output, Position(place, len(chains)))
        ends.append(end)
        if written is None:
            with write_errors(output):
                before.output.replace(output)
            finals.append(replace(before, output=output))
            continue
        finals.append(_told(replace(before, variant=FINAL_VARIANT), written, context))
        others.append(before)
        observer.on_output(finals[-1])
    end = min(ends, key=lambda one: WORST.index(one.status))
    observer.on_enhancement(end)
    return Postprocessed((*finals, *others), end)


def _copies(context: RenderContext, finals: Sequence[EngineResult], observer: OutputObserver) -> Iterator[EngineResult]:
    for final in finals:
        for offset in context.job.offset_copies:
            output = av_offset_path(final.output, offset)
            write_av_offset_copy(
                final.output, output, audio=context.sound, offset=offset, encoding=context.job.encoding
            )
            copy = replace(final, output=output, variant=av_offset_name(offset))
            observer.on_output(copy)
            yield copy


def _told(output: EngineResult, file: Written, context: RenderContext) -> EngineResult:
    """With what the file is like."""
    return replace(
        output,
        output=file.path,
        width=file.width,
        height=file.height,
        padding=file.padding,
        duration=context.voice.stats.duration,
    )
