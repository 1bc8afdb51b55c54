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
from lipsync.enhancers.base import Edit, FaceEnhancer, Upscaler
from lipsync.errors import Cancelled, LipsyncError, OutOfMemory, TimedOut
from lipsync.media.prefetch import prefetch
from lipsync.media.writer import Written
from lipsync.models.networks import Networks
from lipsync.models.session import Conditions
from lipsync.monitor import Monitor, watched
from lipsync.pipeline.edits import EditSpool
from lipsync.pipeline.job import Enhanced, Enhancement, Step
from lipsync.pipeline.recipes import Finder
from lipsync.pipeline.synthesise import Line
from lipsync.pipeline.take import Take
from lipsync.types import Picture

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kit:
    """What a job is enhanced with, ready to run.

    ``names``: what each is called, of the enhancer of the ``face`` and of the whole ``picture``;
    ``missing``: why it cannot be, and then it is not; ``note``: that there is better, for a person;
    ``weights``: names and SHA-256 of those that came from the store.
    """

    face: FaceEnhancer | None = None
    upscaler: Upscaler | None = None
    seconds: float | None = None
    missing: LipsyncError | None = None
    note: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def conditions(self) -> dict[str, Conditions]:
        """How each of them computed."""
        told = {"face": self.face, "picture": self.upscaler}
        found = {part: it.conditions for part, it in told.items() if it is not None}
        return {part: replace(how, networks=self._networks(part, how)) for part, how in found.items() if how}

    def _networks(self, part: str, how: Conditions) -> tuple[tuple[str, str], ...]:
        name = self.names[part]
        return (*how.networks, (name, self.weights[name])) if name in self.weights else how.networks


def open_kit(enhancement: Enhancement, networks: Networks, monitor: Monitor) -> Kit:
    """The enhancers that are asked for. Raises ModelError, ExtraMissing, OutOfMemory if they are required."""
    options, name, factor = enhancement.options, enhancement.restorer, enhancement.factor
    find = Finder(options.models, monitor)
    face, larger, note, names = None, None, None, dict[str, str]()
    try:
        if name is not None:
            names["face"] = name
            face = RESTORERS[name].open(options, networks, monitor, find)
        if factor > 1:
            names["picture"], note = (enhancement.upscaler, None) if enhancement.upscaler else best_upscaler(factor)
            larger = UPSCALERS[names["picture"]].open(factor, options, networks, monitor, find)
    except LipsyncError as error:
        if enhancement.required:
            raise
        return Kit(missing=error)
    return Kit(face, larger, enhancement.seconds, note=note, names=names, weights=find.found)


def enhance(take: Take, line: Line, kit: Kit, output: Path, monitor: Monitor) -> tuple[Enhanced, Written | None]:
    """Make the enhanced file of one engine; if that fails, tell why. Raises Cancelled alone."""
    if kit.missing is not None:
        return _failed(kit.missing), None
    spool = line.spool
    if spool is None or (kit.upscaler is None and not spool.edited):
        return Enhanced(Step.SKIPPED, message="no frame was edited, so there is nothing to enhance"), None
    try:
        written = _write(take, spool, kit, output, monitor)
    except Cancelled:
        raise
    except LipsyncError as error:
        return _failed(error), None
    except MemoryError:
        return _failed(OutOfMemory("memory ran out while enhancing")), None
    except Exception as error:  # the lip-sync is not lost to what comes after it
        logging.getLogger(__name__).exception("enhancing failed unexpectedly")
        return Enhanced(Step.FAILED, "bug", " ".join(f"unexpected {type(error).__name__}: {error}".split())), None
    return Enhanced(Step.COMPLETED, None, kit.note, kit.conditions, kit.names), written


def _failed(error: LipsyncError) -> Enhanced:
    return Enhanced(Step.FAILED, error.code, str(error))


def _write(take: Take, spool: EditSpool, kit: Kit, output: Path, monitor: Monitor) -> Written:
    frames = take.plan.frames
    with ExitStack() as stack:
        pictures = stack.enter_context(prefetch(take.pictures()))
        edits: Generator[Edit, None, None] = stack.enter_context(closing(spool.replay(pictures)))
        if kit.face is not None:
            edits = stack.enter_context(closing(kit.face.enhance(edits, take.track)))
        larger = within(_larger(edits, kit.upscaler), kit.seconds)
        ready = stack.enter_context(prefetch(watched(larger, monitor, "enhance", frames)))
        factor = 1 if kit.upscaler is None else kit.upscaler.factor
        (written,) = take.write(((picture,) for picture in ready), [output], factor)
    return written


def _larger(edits: Iterable[Edit], upscaler: Upscaler | None) -> Iterator[Picture]:
    for edit in edits:
        yield edit.picture if upscaler is None else upscaler.upscale(edit.picture)


def within(items: Iterable[T], seconds: float | None) -> Iterator[T]:
    """The items, for as long as there is time. Raises TimedOut."""
    began = time.monotonic()
    for item in items:
        if seconds is not None and time.monotonic() - began > seconds:
            raise TimedOut(f"enhancing took longer than {seconds:.0f} s")
        yield item
