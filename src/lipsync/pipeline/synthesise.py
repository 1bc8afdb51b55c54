"""The second pass: every engine gives the same pictures a new mouth, and what is soft gets the footage's detail."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import tee

from lipsync.engines.base import Engine, Rendered, Scene
from lipsync.enhancers.base import EditedFrame, FaceEnhancer
from lipsync.frames.planes import writable_copy
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.types import Frame

FrameSet = tuple[EditedFrame, ...]


@dataclass(frozen=True, slots=True)
class EngineChain:
    """One engine and what follows it: ``post_filter`` makes its frames sharper, ``spool`` keeps them for later."""

    engine: Engine
    post_filter: FaceEnhancer | None = None
    spool: EditSpool | None = None

    @property
    def needs_original(self) -> bool:
        """Whether what follows the engine has to know what it was given."""
        return self.post_filter is not None or self.spool is not None


def synthesise(
    pictures: Iterable[Frame], chains: Sequence[EngineChain], scene: Scene
) -> Generator[FrameSet, None, None]:
    """One row of finished frames, one of each line, for every picture; the pictures are read once."""
    comparing = sum(chain.needs_original for chain in chains)
    with ExitStack() as stack:
        copies = tee_frames(pictures, len(chains) + bool(comparing))
        befores = iter(tee(copies.pop(), comparing) if comparing else ())
        finished = [
            stack.enter_context(closing(_finished(chain, copy, next(befores) if chain.needs_original else None, scene)))
            for chain, copy in zip(chains, copies, strict=True)
        ]
        yield from zip(*finished, strict=True)


def _finished(
    chain: EngineChain, pictures: Iterator[Frame], befores: Iterator[Frame] | None, scene: Scene
) -> Generator[EditedFrame, None, None]:
    with ExitStack() as stack:
        rendered = stack.enter_context(closing(chain.engine.synthesise(pictures, scene)))
        edits: Generator[EditedFrame, None, None] = stack.enter_context(closing(_compared(rendered, befores)))
        if chain.post_filter is not None:
            edits = stack.enter_context(closing(chain.post_filter.enhance(edits, scene.track)))
        if chain.spool is not None:
            edits = stack.enter_context(closing(chain.spool.record(edits)))
        yield from edits


def _compared(rendered: Iterable[Rendered], befores: Iterator[Frame] | None) -> Generator[EditedFrame, None, None]:
    for output in rendered:
        before = output.frame if befores is None else next(befores)
        yield EditedFrame(output.frame, before, output.edited)


def tee_frames(pictures: Iterable[Frame], count: int) -> list[Iterator[Frame]]:
    """The same pictures ``count`` times, each time in memory of their own; all are read at about the same pace."""
    source = iter(pictures)
    waiting: list[deque[Frame]] = [deque() for _ in range(count)]

    def one(place: int) -> Iterator[Frame]:
        while True:
            if not waiting[place]:
                picture = next(source, None)
                if picture is None:
                    return
                for other, queue in enumerate(waiting):
                    queue.append(picture if other == place else writable_copy(picture))
            yield waiting[place].popleft()

    return [one(place) for place in range(count)]
