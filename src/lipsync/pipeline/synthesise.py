"""The second pass: every engine gives the same pictures a new mouth, and what is soft gets the footage's detail."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import tee

from lipsync.engines.base import Engine, Rendered, Scene
from lipsync.enhancers.base import Edit, FaceEnhancer
from lipsync.frames.planes import own_copy
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.types import Picture

Row = tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One engine and what follows it: ``touch`` makes its frames sharper, ``spool`` writes them down for later."""

    engine: Engine
    touch: FaceEnhancer | None = None
    spool: EditSpool | None = None

    @property
    def compares(self) -> bool:
        """Whether what follows the engine has to know what it was given."""
        return self.touch is not None or self.spool is not None


def synthesise(pictures: Iterable[Picture], lines: Sequence[Line], scene: Scene) -> Generator[Row, None, None]:
    """One row of finished frames, one of each line, for every picture; the pictures are read once."""
    comparing = sum(line.compares for line in lines)
    with ExitStack() as stack:
        copies = shared_out(pictures, len(lines) + bool(comparing))
        befores = iter(tee(copies.pop(), comparing) if comparing else ())
        finished = [
            stack.enter_context(closing(_finished(line, copy, next(befores) if line.compares else None, scene)))
            for line, copy in zip(lines, copies, strict=True)
        ]
        yield from zip(*finished, strict=True)


def _finished(
    line: Line, pictures: Iterator[Picture], befores: Iterator[Picture] | None, scene: Scene
) -> Generator[Edit, None, None]:
    with ExitStack() as stack:
        rendered = stack.enter_context(closing(line.engine.synthesise(pictures, scene)))
        edits: Generator[Edit, None, None] = stack.enter_context(closing(_compared(rendered, befores)))
        if line.touch is not None:
            edits = stack.enter_context(closing(line.touch.enhance(edits, scene.track)))
        if line.spool is not None:
            edits = stack.enter_context(closing(line.spool.record(edits)))
        yield from edits


def _compared(rendered: Iterable[Rendered], befores: Iterator[Picture] | None) -> Generator[Edit, None, None]:
    for frame in rendered:
        before = frame.picture if befores is None else next(befores)
        yield Edit(frame.picture, before, frame.edited)


def shared_out(pictures: Iterable[Picture], count: int) -> list[Iterator[Picture]]:
    """The same pictures ``count`` times, each time in memory of their own; all are read at about the same pace."""
    source = iter(pictures)
    waiting: list[deque[Picture]] = [deque() for _ in range(count)]

    def one(place: int) -> Iterator[Picture]:
        while True:
            if not waiting[place]:
                picture = next(source, None)
                if picture is None:
                    return
                for other, queue in enumerate(waiting):
                    queue.append(picture if other == place else own_copy(picture))
            yield waiting[place].popleft()

    return [one(place) for place in range(count)]
