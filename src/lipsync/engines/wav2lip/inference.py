"""The generator at work: frames in batches on two streams, batches that shrink when memory runs out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.models.session import Array, RunInfo, Session
from lipsync.types import Float32, Frame

STREAMS = 2
LARGEST = 32  # frames in a batch: more are no faster, and are long to wait for when somebody wants to stop
HELD = 128 << 20  # bytes of pictures that may wait for their mouths
KEPT = 96 << 20  # bytes of face features kept for frames that are shown again

Placement = TypeVar("Placement")
Features = tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class GeneratorInput:
    """What the generator sees of a frame: ``face`` (6, 96, 96) as ``generator.encoder_graph`` takes it.

    Views of one ``key`` are the same, so that their features need be computed only once.
    """

    face: Float32
    key: Hashable


@dataclass(frozen=True, slots=True)
class FrameJob(Generic[Placement]):
    """One frame on its way. ``mel`` (80, 16); ``view`` None: there is no face, and the frame passes through.

    ``place``: what the engine has to know to put the result into the picture.
    """

    frame: Frame
    mel: Float32
    view: GeneratorInput | None
    place: Placement


class GeneratorRunner:
    """Both halves of the network: sessions of the two graphs in ``generator``. ``weights``: their name and SHA-256."""

    def __init__(self, encoder: Session, decoder: Session, *weights: tuple[str, str]) -> None:
        self._encoder, self._decoder, self._weights = encoder, decoder, weights
        self._asked = self._batch = 1
        self._kept_as = np.float32 if encoder.precision == "fp32" else np.float16  # no more digits than were computed
        self._kept: dict[Hashable, Features] | None = None
        self._turn, self._encoding = threading.Lock(), threading.Lock()

    @property
    def run_info(self) -> RunInfo:
        notes: tuple[str, ...] = ()
        if self._batch < self._asked:
            notes = (f"memory ran short with {self._asked} frames at once; it went on with {self._batch}",)
        return RunInfo(self._decoder.device, self._decoder.precision, self._batch, notes, self._weights)

    def run(
        self, works: Generator[FrameJob[Placement], None, None], batch: int, repeats: bool
    ) -> Generator[tuple[FrameJob[Placement], Float32 | None], None, None]:
        """Each piece of work, in order, with its picture (3, 96, 96), BGR in 0..1; None if there is no view.

        The works are closed at the end.
        At most ``batch`` frames are computed at once. ``repeats``: frames are shown again, so that features are kept,
        those of the first frames as far as they fit. Raises InferenceFailed, and OutOfMemory when a single frame is too
        much.
        """
        self._asked = self._batch = batch
        self._kept = {} if repeats else None
        waiting: deque[tuple[list[FrameJob[Placement]], Future[list[Float32]]]] = deque()
        with closing(works), self._pool() as pool:
            for group in _groups(works, self._asked):
                waiting.append((group, pool.submit(self._pictures, [w for w in group if w.view is not None])))
                if len(waiting) > STREAMS:
                    yield from _settled(*waiting.popleft())
            while waiting:
                yield from _settled(*waiting.popleft())

    def _pictures(self, group: list[FrameJob[Placement]]) -> list[Float32]:
        if not group:
            return []
        features = self._features([w.view for w in group if w.view is not None])
        mels = np.stack([w.mel for w in group])[:, None]
        stacked = [np.stack(scale) for scale in zip(*features, strict=True)]
        (pictures,) = self._computed(self._decoder, [mels, *stacked])
        if not np.isfinite(pictures).all():
            raise InferenceFailed("the network gave values that are no numbers")
        return list(pictures)

    def _features(self, views: list[GeneratorInput]) -> list[Features]:
        kept = self._kept
        if kept is None:
            return self._encoded(views)
        with self._encoding:  # one stream at a time, so that no frame is encoded by both
            new = {view.key: view for view in views if view.key not in kept}
            found = dict(zip(new, self._encoded(list(new.values())), strict=True)) if new else {}
            for key, features in found.items():
                size = sum(scale.size for scale in features) * np.dtype(self._kept_as).itemsize
                if (len(kept) + 1) * size <= KEPT:  # copied, else the whole batch would stay
                    kept[key] = tuple(scale.astype(self._kept_as) for scale in features)
            return [found[view.key] if view.key in found else kept[view.key] for view in views]

    def _encoded(self, views: list[GeneratorInput]) -> list[Features]:
        scales = self._computed(self._encoder, [np.stack([view.face for view in views])])
        return [tuple(scale[k] for scale in scales) for k in range(len(views))]

    def _computed(self, session: Session, arrays: Sequence[Array]) -> list[Array]:
        """All rows of the arrays through a network, at most a batch at once."""
        parts: list[list[Array]] = []
        start, count = 0, len(arrays[0])
        while start < count:
            size = min(self._batch, count - start)
            try:
                parts.append(session.run([array[start : start + size] for array in arrays]))
            except OutOfMemory:
                if size == 1:
                    raise
                with self._turn:
                    self._batch = min(self._batch, size // 2)
            else:
                start += size
        return parts[0] if len(parts) == 1 else [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(STREAMS, "generator")
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            self._kept = None


def batch_for(picture: Frame, wish: int) -> int:
    """How many pictures of this size may be in one batch, for those that wait not to fill the memory."""
    size = picture.y.nbytes + picture.u.nbytes + picture.v.nbytes
    return max(1, min(wish, LARGEST, HELD // ((STREAMS + 1) * size)))


def _groups(works: Iterable[FrameJob[Placement]], size: int) -> Iterator[list[FrameJob[Placement]]]:
    source = iter(works)
    while group := list(islice(source, size)):
        yield group


def _settled(
    group: list[FrameJob[Placement]], pictures: Future[list[Float32]]
) -> Iterator[tuple[FrameJob[Placement], Float32 | None]]:
    made = iter(pictures.result())
    for work in group:
        yield work, (None if work.view is None else next(made))
