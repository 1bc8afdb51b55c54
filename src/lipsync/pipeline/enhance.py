"""The step after the lip-sync: sharper faces, larger pictures. It may fail, and then the lip-sync stands as it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from lipsync.enhancers import RESTORERS, UPSCALERS, best_upscaler
from lipsync.enhancers.base import EditedFrame, EnhancerContext, FaceEnhancer, Upscaler
from lipsync.errors import Cancelled, LipsyncError, OutOfMemory, TimedOut
from lipsync.media.prefetch import prefetch
from lipsync.media.writer import Written
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor, Progress
from lipsync.pipeline.context import RenderContext
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.pipeline.job import Enhanced, Enhancement, EnhanceStatus
from lipsync.pipeline.model_registry import StoredWeights
from lipsync.pipeline.synthesise import EngineChain
from lipsync.types import Frame

T = TypeVar("T")


class EnhanceDeadline(Monitor):
    """The job's monitor, and the end of the time for enhancing all results, which begins with the first frame."""

    def __init__(self, monitor: Monitor, seconds: float | None) -> None:
        super().__init__(monitor.report)
        self._whole, self._limit, self._began = monitor, seconds, 0.0

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def check(self) -> None:
        """Raises TimedOut, too."""
        self._whole.check()
        if self._limit is not None and self._began and time.monotonic() - self._began > self._limit:
            raise TimedOut(f"enhancing took longer than {self._limit:.0f} s")

    def watched(self, items: Iterable[T], frames: int, part: Position) -> Iterator[T]:
        """The ``frames`` items of one result, each reported as one of those of all results."""
        self._began = self._began or time.monotonic()
        for done, item in enumerate(items, part.place * frames + 1):
            self.check()
            yield item
            self.report(Progress("enhance", done, part.count * frames, time.monotonic() - self._began))


@dataclass(frozen=True, slots=True)
class Position:
    """Which of all results is at hand."""

    place: int
    count: int


@dataclass(frozen=True, slots=True)
class Enhancers:
    """What a job is enhanced with, ready to run.

    ``names``: what each is called, of the enhancer of the ``face`` and of the whole ``picture``;
    ``missing``: why it cannot be, and then it is not; ``note``: that there is better, for a person;
    ``weights``: names and SHA-256 of those that came from the store.
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
        """How each of them computed."""
        told = {"face": self.face, "picture": self.upscaler}
        found = {part: it.run_info for part, it in told.items() if it is not None}
        return {part: replace(how, weights=self._networks(part, how)) for part, how in found.items() if how}

    def _networks(self, part: str, how: RunInfo) -> tuple[tuple[str, str], ...]:
        name = self.names[part]
        return (*how.weights, (name, self.weights[name])) if name in self.weights else how.weights


def load_enhancers(enhancement: Enhancement, sessions: SessionCache, monitor: Monitor) -> Enhancers:
    """The enhancers that are asked for. Raises ModelError, ExtraMissing, OutOfMemory if they are required."""
    options, name, factor = enhancement.options, enhancement.restorer, enhancement.factor
    weights, deadline = StoredWeights(options.models_dir, monitor), EnhanceDeadline(monitor, enhancement.seconds)
    context = EnhancerContext(options, sessions, deadline, weights)
    face, larger, note, names = None, None, None, dict[str, str]()
    try:
        if name is not None:
            names["face"] = name
            face = RESTORERS[name].open(context)
        if factor > 1:
            names["picture"], note = (enhancement.upscaler, None) if enhancement.upscaler else best_upscaler(factor)
            larger = UPSCALERS[names["picture"]].open(factor, context)
    except LipsyncError as error:
        if enhancement.required:
            raise
        return Enhancers(missing=error)
    return Enhancers(face, larger, deadline, note=note, names=names, weights=weights.found)


def enhance(
    context: RenderContext, chain: EngineChain, enhancers: Enhancers, output: Path, part: Position
) -> tuple[Enhanced, Written | None]:
    """Make the enhanced file of one engine; if that fails, tell why. Raises Cancelled alone."""
    spool, deadline = chain.spool, enhancers.deadline
    if enhancers.missing is not None:
        return _failed(enhancers.missing), None
    if spool is None or deadline is None or (enhancers.upscaler is None and not spool.edited):
        return Enhanced(EnhanceStatus.SKIPPED, message="no frame was edited, so there is nothing to enhance"), None
    try:
        written = _write(context, spool, enhancers, output, deadline, part)
    except Cancelled:
        raise
    except LipsyncError as error:
        return _failed(error), None
    except MemoryError:
        return _failed(OutOfMemory("memory ran out while enhancing")), None
    except Exception as error:  # the lip-sync is not lost to what comes after it
        logging.getLogger(__name__).exception("enhancing failed unexpectedly")
        return Enhanced(
            EnhanceStatus.FAILED, "bug", " ".join(f"unexpected {type(error).__name__}: {error}".split())
        ), None
    return Enhanced(EnhanceStatus.COMPLETED, None, enhancers.note, enhancers.run_info, enhancers.names), written


def _failed(error: LipsyncError) -> Enhanced:
    return Enhanced(EnhanceStatus.FAILED, error.code, str(error))


def _write(
    context: RenderContext,
    spool: EditSpool,
    enhancers: Enhancers,
    output: Path,
    deadline: EnhanceDeadline,
    part: Position,
) -> Written:
    with ExitStack() as stack:
        pictures = stack.enter_context(prefetch(context.pictures()))
        edits: Generator[EditedFrame, None, None] = stack.enter_context(closing(spool.replay(pictures)))
        if enhancers.face is not None:
            edits = stack.enter_context(closing(enhancers.face.enhance(edits, context.track)))
        larger = stack.enter_context(closing(_larger(edits, enhancers.upscaler, context)))
        ready = stack.enter_context(prefetch(deadline.watched(larger, context.plan.frames, part)))
        factor = 1 if enhancers.upscaler is None else enhancers.upscaler.factor
        (written,) = context.write(((picture,) for picture in ready), [output], factor)
    return written


def _larger(
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
