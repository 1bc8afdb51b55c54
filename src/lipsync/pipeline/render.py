"""The second pass: synthesise the frames of all engines and encode one file for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing

from lipsync.frames.prefetch import prefetch
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.context import JobOutcome, RenderContext
from lipsync.pipeline.enliven import enliven_sets
from lipsync.pipeline.job import FINAL_VARIANT, PLAIN_VARIANT
from lipsync.pipeline.synthesise import EngineChain, FrameSet, synthesise
from lipsync.types import Frame


def render(context: RenderContext, chains: Sequence[EngineChain], monitor: Monitor) -> JobOutcome:
    """Write the lip-sync of every engine. Raises what engines and ``media.writer.write`` raise, and Cancelled."""
    job, counter = context.job, EditCounter(len(chains))
    with ExitStack() as stack:
        frames = stack.enter_context(prefetch(context.frames()))
        frame_sets = stack.enter_context(closing(synthesise(frames, chains, context.scene)))
        photo = context.lively_photo()
        if photo is not None:  # its motion takes as long as a mouth, so that it has a thread of its own
            engines = [chain.engine for chain in chains]
            still = stack.enter_context(prefetch(frame_sets))
            frame_sets = stack.enter_context(closing(enliven_sets(still, photo, engines)))
        ready = stack.enter_context(prefetch(watched(frame_sets, monitor, "render", context.plan.frame_count)))
        files = context.write(counter.count(ready), job.plain_outputs)
    variant = FINAL_VARIANT if job.enhancement is None else PLAIN_VARIANT
    outputs = (
        context.result_of(file, engine, edited, chain.engine.run_info, variant)
        for file, engine, edited, chain in zip(files, job.engines, counter.edited, chains, strict=True)
    )
    return JobOutcome(context, chains, tuple(outputs))


class EditCounter:
    """Counts the edited frames of each engine as they pass by."""

    def __init__(self, engine_count: int) -> None:
        self.edited = [0] * engine_count

    def count(self, frame_sets: Iterable[FrameSet]) -> Iterator[tuple[Frame, ...]]:
        for frame_set in frame_sets:
            for number, frame in enumerate(frame_set):
                self.edited[number] += frame.edited
            yield tuple(frame.after for frame in frame_set)
