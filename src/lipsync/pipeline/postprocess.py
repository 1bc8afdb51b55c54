"""Postprocess the lip-sync: write the enhanced files, and copies with another audio offset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lipsync.files import write_errors
from lipsync.media.av_offset import av_offset_name, av_offset_path, write_av_offset_copy
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.context import JobOutcome
from lipsync.pipeline.enhance import Enhancers, Position, enhance
from lipsync.pipeline.job import FINAL_VARIANT, EngineResult, Enhanced, EnhanceStatus, OutputObserver

STATUS_PRIORITY = (EnhanceStatus.FAILED, EnhanceStatus.COMPLETED, EnhanceStatus.SKIPPED)  # with several engines


def postprocess(
    outcome: JobOutcome, enhancers: Enhancers | None, monitor: Monitor, observer: OutputObserver
) -> JobOutcome:
    """Add the enhanced files and the offset copies to the outcome, and notify the observer of every file.

    A failed enhancement leaves the plain file as the final one. Raises DiskFull, OutputUnwritable and EncodeFailed for
    the copies, Cancelled, and what the observer raises.
    """
    for output in outcome.outputs:
        observer.on_output(output)
    if enhancers is not None:
        outcome = _enhance_all(outcome, enhancers, observer)
    copies = _offset_copies(outcome, observer)
    if count := len(outcome.chains) * len(outcome.context.job.offset_copies):
        outcome = replace(outcome, outputs=(*outcome.outputs, *watched(copies, monitor, "offsets", count)))
    return outcome


def _enhance_all(outcome: JobOutcome, enhancers: Enhancers, observer: OutputObserver) -> JobOutcome:
    context, chains = outcome.context, outcome.chains
    finals, others, results = [], [], []
    for number, (chain, plain, path) in enumerate(zip(chains, outcome.outputs, context.job.outputs, strict=True)):
        observer.on_enhancement(Enhanced(EnhanceStatus.PROCESSING))
        enhanced, file = enhance(context, chain, enhancers, path, Position(number, len(chains)))
        results.append(enhanced)
        if file is None:
            with write_errors(path):
                plain.output.replace(path)
            finals.append(replace(plain, output=path))
            continue
        finals.append(context.result_of(file, plain.engine, plain.edited, plain.run_info, FINAL_VARIANT))
        others.append(plain)
        observer.on_output(finals[-1])
    decisive = min(results, key=lambda enhanced: STATUS_PRIORITY.index(enhanced.status))
    observer.on_enhancement(decisive)
    return replace(outcome, outputs=(*finals, *others), enhanced=decisive)


def _offset_copies(outcome: JobOutcome, observer: OutputObserver) -> Iterator[EngineResult]:
    context = outcome.context
    for final in outcome.outputs[: len(outcome.chains)]:
        for offset in context.job.offset_copies:
            path = av_offset_path(final.output, offset)
            write_av_offset_copy(final.output, path, audio=context.audio, offset=offset, encoding=context.job.encoding)
            copy = replace(final, output=path, variant=av_offset_name(offset))
            observer.on_output(copy)
            yield copy
