"""Synthesise the output frames of every engine, and give soft mouths the texture of the video."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import tee

from lipsync.engines.base import Engine, Rendered, Scene
from lipsync.enhancers.base import EditedFrame, FaceEnhancer
from lipsync.faces.landmarker import Landmarker
from lipsync.files import Scratch
from lipsync.frames.planes import writable_copy
from lipsync.models.session_cache import SessionCache
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.types import Frame

FrameSet = tuple[EditedFrame, ...]  # one frame of each engine, all at the same time


@dataclass(frozen=True, slots=True)
class EngineChain:
    """An engine and the steps after it: ``post_filter`` sharpens its frames, ``spool`` keeps its edits for later."""

    engine: Engine
    post_filter: FaceEnhancer | None = None
    spool: EditSpool | None = None

    @property
    def needs_source(self) -> bool:
        """Whether the steps after the engine compare its frames with those of the video."""
        return self.post_filter is not None or self.spool is not None


@contextmanager
def open_chains(
    engines: Sequence[Engine], detail: float, sessions: SessionCache, scratch: Scratch, *, spooled: bool
) -> Iterator[Sequence[EngineChain]]:
    """Open the chain of each engine. ``detail`` 0..1: strength of the detail transfer; ``spooled``: keep the edits,
    in a file of ``scratch``.

    Raises ModelError, DiskFull, OutputUnwritable.
    """
    with ExitStack() as stack:

        def chain(engine: Engine) -> EngineChain:
            post_filter = spool = None
            if detail and engine.frame_rules.transfers_detail:
                from lipsync.enhancers.detail.enhancer import DetailTransfer

                post_filter = DetailTransfer(stack.enter_context(Landmarker.open(sessions)), detail)
            if spooled:
                spool = EditSpool(stack.enter_context(scratch.file()))
            return EngineChain(engine, post_filter, spool)

        yield [chain(engine) for engine in engines]


def synthesise(frames: Iterable[Frame], chains: Sequence[EngineChain], scene: Scene) -> Generator[FrameSet, None, None]:
    """Yield the finished frames of all chains for each of ``frames``, which are read once."""
    comparing = sum(chain.needs_source for chain in chains)
    with ExitStack() as stack:
        copies = tee_frames(frames, len(chains) + bool(comparing))
        sources = iter(tee(copies.pop(), comparing) if comparing else ())
        finished = [
            stack.enter_context(closing(_finished(chain, copy, next(sources) if chain.needs_source else None, scene)))
            for chain, copy in zip(chains, copies, strict=True)
        ]
        yield from zip(*finished, strict=True)


def _finished(
    chain: EngineChain, frames: Iterator[Frame], sources: Iterator[Frame] | None, scene: Scene
) -> Generator[EditedFrame, None, None]:
    with ExitStack() as stack:
        rendered = stack.enter_context(closing(chain.engine.synthesise(frames, scene)))
        edits: Generator[EditedFrame, None, None] = stack.enter_context(closing(_with_sources(rendered, sources)))
        if chain.post_filter is not None:
            edits = stack.enter_context(closing(chain.post_filter.enhance(edits, scene.faces)))
        if chain.spool is not None:
            edits = stack.enter_context(closing(chain.spool.record(edits)))
        yield from edits


def _with_sources(rendered: Iterable[Rendered], sources: Iterator[Frame] | None) -> Generator[EditedFrame, None, None]:
    for output in rendered:
        source = output.frame if sources is None else next(sources)
        yield EditedFrame(output.frame, source, output.edited)


def tee_frames(frames: Iterable[Frame], count: int) -> list[Iterator[Frame]]:
    """Split ``frames`` into ``count`` iterators over separate copies, to be read at about the same pace."""
    source = iter(frames)
    queues: list[deque[Frame]] = [deque() for _ in range(count)]

    def copies(number: int) -> Iterator[Frame]:
        while True:
            if not queues[number]:
                frame = next(source, None)
                if frame is None:
                    return
                for other, queue in enumerate(queues):
                    queue.append(frame if other == number else writable_copy(frame))
            yield queues[number].popleft()

    return [copies(number) for number in range(count)]
