"""The second pass: every engine gives the same pictures a new mouth."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing

from lipsync.engines.base import Engine, Rendered, Scene
from lipsync.media.planes import own_copy
from lipsync.types import Picture

Row = tuple[Rendered, ...]


def synthesise(pictures: Iterable[Picture], engines: Sequence[Engine], scene: Scene) -> Generator[Row, None, None]:
    """One row of finished frames, one of each engine, for every picture; the pictures are read once."""
    with ExitStack() as stack:
        copies = shared_out(pictures, len(engines))
        rendered = [
            stack.enter_context(closing(engine.synthesise(copy, scene)))
            for engine, copy in zip(engines, copies, strict=True)
        ]
        yield from zip(*rendered, strict=True)


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
