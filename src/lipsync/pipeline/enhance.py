"""Enhance the lip-sync: restore faces, enlarge frames. A failure leaves the lip-sync as it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from lipsync.engines.base import Engine
from lipsync.enhancers import RESTORERS, UPSCALERS, best_upscaler
from lipsync.enhancers.base import EditedFrame, EnhancerContext, FaceEnhancer, Upscaler
from lipsync.errors import Cancelled, LipsyncError, OutOfMemory, TimedOut, unexpected
from lipsync.frames.prefetch import prefetch
from lipsync.media.writer import Written
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor, Progress
from lipsync.pipeline.context import RenderContext
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.pipeline.enliven import enliven
from lipsync.pipeline.job import Enhanced, Enhancement, EnhanceStatus
from lipsync.pipeline.synthesise import EngineChain
from lipsync.types import Frame

T = TypeVar("T")


class EnhanceDeadline(Monitor):
    """The job's monitor with a time limit for enhancing all results, which starts with the first frame."""

    def __init__(self, monitor: Monitor, seconds: float | None) -> None:
        super().__init__(monitor.report)
        self._monitor, self._limit, self._began = monitor, seconds, 0.0

    @property
    def cancelled(self) -> bool:
        return self._monitor.cancelled

    def check(self) -> None:
        """Raise Cancelled or TimedOut if the job is to stop."""
        self._monitor.check()
        if self._limit is not None and self._began and time.monotonic() - self._began > self._limit:
            raise TimedOut(f"enhancing took longer than {self._limit:.0f} s")

    def watched(self, frames: Iterable[T], frame_count: int, position: Position) -> Iterator[T]:
        """Pass on the frames of one result and report their progress as a part of all results."""
        self._began = self._began or time.monotonic()
        for done, frame in enumerate(frames, position.number * frame_count + 1):
            self.check()
            yield frame
            self.report(Progress("enhance", done, position.count * frame_count, time.monotonic() - self._began))


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a result among all results; ``number`` counts from 0."""

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Enhancers:
    """The enhancers of a job, ready to run.

    ``names``: those of the enhancer of the ``face`` and of the whole ``frame``. ``missing``: the reason why the
    results will not be enhanced. ``note``: a hint at a better enhancer. ``weights``: SHA-256 of weights from the store,
    by name.
    """

    face: FaceEnhancer | None = None
    upscaler: Upscaler | None = None
    deadline: EnhanceDeadline | None = None
    missing: LipsyncError | None = None
    note: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_info(self) -> dict[str, RunInfo]:
        """How each target was computed."""
        enhancers = {"face": self.face, "frame": self.upscaler}
        infos = {target: enhancer.run_info for target, enhancer in enhancers.items() if enhancer is not None}
        return {target: self._with_weights(target, info) for target, info in infos.items() if info is not None}

    def _with_weights(self, target: str, info: RunInfo) -> RunInfo:
        name = self.names[target]
        return replace(info, weights=(*info.weights, (name, self.weights[name]))) if name in self.weights else info


def load_enhancers(enhancement: Enhancement | None, sessions: SessionCache, monitor: Monitor) -> Enhancers | None:
    """Open the requested enhancers. Raises ModelError, ExtraMissing, OutOfMemory if they are required."""
    if enhancement is None:
        return None
    options, restorer, factor = enhancement.options, enhancement.restorer, enhancement.factor
    from lipsync.pipeline.model_registry import StoredWeights  # imports every converter

    weights, deadline = StoredWeights(options.models_dir, monitor), EnhanceDeadline(monitor, enhancement.seconds)
    context = EnhancerContext(options, sessions, deadline, weights)
    face, upscaler, note, names = None, None, None, dict[str, str]()
    try:
        if restorer is not None:
            names["face"] = restorer
            face = RESTORERS[restorer].open(context)
        if factor > 1:
            names["frame"], note = (enhancement.upscaler, None) if enhancement.upscaler else best_upscaler(factor)
            upscaler = UPSCALERS[names["frame"]].open(factor, context)
    except LipsyncError as error:
        if enhancement.required:
            raise
        return Enhancers(missing=error)
    return Enhancers(face, upscaler, deadline, note=note, names=names, weights=weights.found)


def needs_edits(enhancers: Enhancers | None) -> bool:
    """Whether the lip-sync has to keep its edits for ``enhance``."""
    return enhancers is not None and enhancers.missing is None


def enhance(
    context: RenderContext, chain: EngineChain, enhancers: Enhancers, output: Path, position: Position
) -> tuple[Enhanced, Written | None]:
    """Write the enhanced file of one engine; a failure is returned with its reason. Raises only Cancelled."""
    spool, deadline = chain.spool, enhancers.deadline
    if enhancers.missing is not None:
        return _failed(enhancers.missing), None
    if spool is None or deadline is None or (enhancers.upscaler is None and not spool.edited):
        return Enhanced(EnhanceStatus.SKIPPED, message="no frame was edited, so there is nothing to enhance"), None
    try:
        written = _write(context, chain.engine, spool, enhancers, output, deadline, position)
    except Cancelled:
        raise
    except LipsyncError as error:
        return _failed(error), None
    except MemoryError:
        return _failed(OutOfMemory("out of memory while enhancing")), None
    except Exception as error:  # the lip-sync must survive any failure of the enhancement
        logging.getLogger(__name__).exception("enhancement failed unexpectedly", extra={"event": "enhance_failed"})
        return Enhanced(EnhanceStatus.FAILED, "bug", unexpected(error)), None
    return Enhanced(EnhanceStatus.COMPLETED, None, enhancers.note, enhancers.run_info, enhancers.names), written


def _failed(error: LipsyncError) -> Enhanced:
    return Enhanced(EnhanceStatus.FAILED, error.code, str(error))


def _write(
    context: RenderContext,
    engine: Engine,
    spool: EditSpool,
    enhancers: Enhancers,
    output: Path,
    deadline: EnhanceDeadline,
    position: Position,
) -> Written:
    with ExitStack() as stack:
        frames = stack.enter_context(prefetch(context.frames()))
        edits: Generator[EditedFrame, None, None] = stack.enter_context(closing(spool.replay(frames)))
        if enhancers.face is not None:
            edits = stack.enter_context(closing(enhancers.face.enhance(edits, context.faces)))
        photo = context.lively_photo() if engine.frame_rules.enlivens_photos else None
        if photo is not None:
            edits = stack.enter_context(closing(enliven(edits, photo)))
        enlarged = stack.enter_context(closing(_enlarged(edits, enhancers.upscaler, context)))
        ready = stack.enter_context(prefetch(deadline.watched(enlarged, context.plan.frame_count, position)))
        factor = 1 if enhancers.upscaler is None else enhancers.upscaler.factor
        (written,) = context.write(((frame,) for frame in ready), [output], factor)
    return written


def _enlarged(
    edits: Iterable[EditedFrame], upscaler: Upscaler | None, context: RenderContext
) -> Generator[Frame, None, None]:
    shot = -1
    for edit in edits:
        if upscaler is None:
            yield edit.after
            continue
        number = context.track.shot_number(edit.after.index)
        if number != shot:
            upscaler.begin()
        shot = number
        yield upscaler.upscale(edit.after)
