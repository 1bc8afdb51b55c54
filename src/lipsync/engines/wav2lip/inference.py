"""Run the generator: frames in batches on two parallel streams, with smaller batches when memory runs out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

import numpy as np

from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.models.finite import check_finite
from lipsync.models.session import Array, RunInfo, Session
from lipsync.types import Float32, Frame

STREAMS: Final = 2
MAX_BATCH: Final = 32  # frames: larger batches are no faster and delay a cancellation
BUFFER_BYTES: Final = 128 << 20  # frames waiting for their generated faces
FEATURE_CACHE_BYTES: Final = 96 << 20  # encoder outputs of frames that repeat

PlacementT = TypeVar("PlacementT")
Features = tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class GeneratorInput:
    """The generator's input for one frame: ``face`` (6, 96, 96), see ``architecture.encoder_graph``.

    Inputs with the same ``key`` have the same ``face``, so their features are computed once.
    """

    face: Float32
    key: Hashable


@dataclass(frozen=True, slots=True)
class FrameJob(Generic[PlacementT]):
    """One frame to process: its mel window (80, 16), the generator's input, and where the generated face goes.

    ``input`` is None if the frame shows no face; it then passes through unchanged.
    """

    frame: Frame
    mel: Float32
    input: GeneratorInput | None
    placement: PlacementT


class GeneratorRunner:
    """The generator as two sessions, one for each graph of ``architecture``. ``weights``: their name and SHA-256."""

    def __init__(self, encoder: Session, decoder: Session, *weights: tuple[str, str]) -> None:
        self._encoder, self._decoder, self._weights = encoder, decoder, weights
        self._requested_batch = self._batch = 1
        self._cache: dict[Hashable, Features] | None = None
        self._cache_type = np.float32 if encoder.precision == "fp32" else np.float16
        self._batch_lock, self._encoder_lock = threading.Lock(), threading.Lock()

    @property
    def run_info(self) -> RunInfo:
        notes: tuple[str, ...] = ()
        if self._batch < self._requested_batch:
            notes = (f"out of memory at batch size {self._requested_batch}; continued with {self._batch}",)
        return RunInfo(self._decoder.device, self._decoder.precision, self._batch, notes, self._weights)

    def run(
        self, jobs: Generator[FrameJob[PlacementT], None, None], batch: int, repeats: bool
    ) -> Generator[tuple[FrameJob[PlacementT], Float32 | None], None, None]:
        """Yield each job, in order, with its generated face (3, 96, 96), BGR in 0..1; None if it has no input.

        At most ``batch`` frames are computed at once. ``repeats``: frames occur more than once, so the features of
        the first ones are cached up to FEATURE_CACHE_BYTES. Closes ``jobs`` at the end. Raises InferenceFailed, and
        OutOfMemory if not even one frame fits.
        """
        self._requested_batch = self._batch = batch
        self._cache = {} if repeats else None
        pending: deque[tuple[list[FrameJob[PlacementT]], Future[list[Float32]]]] = deque()
        with closing(jobs), self._pool() as pool:
            for group in _batched(jobs, self._requested_batch):
                pending.append((group, pool.submit(self._generate, [job for job in group if job.input is not None])))
                if len(pending) > STREAMS:
                    yield from _results(*pending.popleft())
            while pending:
                yield from _results(*pending.popleft())

    def _generate(self, group: list[FrameJob[PlacementT]]) -> list[Float32]:
        if not group:
            return []
        features = self._features([job.input for job in group if job.input is not None])
        mels = np.stack([job.mel for job in group])[:, None]
        skips = [np.stack(scale) for scale in zip(*features, strict=True)]
        (faces,) = self._run_batches(self._decoder, [mels, *skips])
        check_finite(faces, InferenceFailed, "the model produced")
        return list(faces)

    def _features(self, inputs: list[GeneratorInput]) -> list[Features]:
        cache = self._cache
        if cache is None:
            return self._encode(inputs)
        with self._encoder_lock:  # one stream at a time, so that no input is encoded twice
            new = {item.key: item for item in inputs if item.key not in cache}
            computed = dict(zip(new, self._encode(list(new.values())), strict=True)) if new else {}
            for key, features in computed.items():
                size = sum(scale.size for scale in features) * np.dtype(self._cache_type).itemsize
                if (len(cache) + 1) * size <= FEATURE_CACHE_BYTES:  # copies, or the whole batch would stay in memory
                    cache[key] = tuple(scale.astype(self._cache_type) for scale in features)
            return [computed[item.key] if item.key in computed else cache[item.key] for item in inputs]

    def _encode(self, inputs: list[GeneratorInput]) -> list[Features]:
        scales = self._run_batches(self._encoder, [np.stack([item.face for item in inputs])])
        return [tuple(scale[k] for scale in scales) for k in range(len(inputs))]

    def _run_batches(self, session: Session, arrays: Sequence[Array]) -> list[Array]:
        """Run all rows of the arrays through a session, at most the current batch size at once."""
        outputs: list[list[Array]] = []
        start, count = 0, len(arrays[0])
        while start < count:
            size = min(self._batch, count - start)
            try:
                outputs.append(session.run([array[start : start + size] for array in arrays]))
            except OutOfMemory:
                if size == 1:
                    raise
                with self._batch_lock:
                    self._batch = min(self._batch, size // 2)
            else:
                start += size
        return outputs[0] if len(outputs) == 1 else [np.concatenate(rows) for rows in zip(*outputs, strict=True)]

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(STREAMS, "generator")
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            self._cache = None


def limited_batch(requested: int, frame: Frame) -> int:
    """The batch size that keeps frames of this size within BUFFER_BYTES, at most ``requested`` and MAX_BATCH."""
    size = frame.y.nbytes + frame.u.nbytes + frame.v.nbytes
    return max(1, min(requested, MAX_BATCH, BUFFER_BYTES // ((STREAMS + 1) * size)))


def _batched(jobs: Iterable[FrameJob[PlacementT]], size: int) -> Iterator[list[FrameJob[PlacementT]]]:
    iterator = iter(jobs)
    while group := list(islice(iterator, size)):
        yield group


def _results(
    group: list[FrameJob[PlacementT]], generated: Future[list[Float32]]
) -> Iterator[tuple[FrameJob[PlacementT], Float32 | None]]:
    faces = iter(generated.result())
    for job in group:
        yield job, (None if job.input is None else next(faces))
