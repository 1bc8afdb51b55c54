"""The inference session and its options, independent of the runtime; ``devices`` opens sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import InferenceFailed

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]] | Sequence[int]


class Session(Protocol):
    """A model that is ready to run.

    ``device``: a name in DEVICES. ``precision``: the precision actually used: "fp32", "bf16" or "fp16".
    """

    @property
    def device(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run the model once: inputs and outputs in the model's order.

        Floating-point inputs of any width are cast to the model's; floating-point outputs are float32. The results
        belong to the caller. Thread-safe. Raises InferenceFailed, OutOfMemory; the session remains usable.
        """


class Running(Protocol):
    """A run in the background, whose inputs stay in memory until it is over. Not thread-safe."""

    def result(self) -> list[Array]:
        """Wait for the outputs of ``Session.run``, once. Raises what it raises."""

    def discard(self) -> None:
        """Wait for the end of the run, if ``result`` was not called, and drop its outputs."""


@runtime_checkable
class BackgroundSession(Protocol):
    """A session that runs without occupying a thread of the interpreter."""

    def start(self, inputs: Sequence[Array]) -> Running:
        """Begin what ``Session.run`` does. Thread-safe; any number of runs may wait for their turn."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A model's adaptation to one person from footage. ``seconds``: of speech that it learned from.

    ``opening_gain`` and ``width_gain``: how much Pearson's r of predicted and real lip opening and mouth width grew on
    parts of the footage that it did not learn from.
    """

    seconds: float
    opening_gain: float
    width_gain: float

    def __str__(self) -> str:
        gains = f"opening {self.opening_gain:+.2f}, width {self.width_gain:+.2f}"
        return f"adapted to the person in {self.seconds:.0f} s of speech (r of {gains})"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How a model was run. ``batch``: the final maximum batch size, in frames.

    ``notes``: deviations from the plan, as sentences. ``weights``: name and SHA-256 of each weights file used.
    ``adapted``: None unless the model was adapted to the person.
    """

    device: str
    precision: str
    batch: int
    notes: tuple[str, ...] = ()
    weights: tuple[tuple[str, str], ...] = ()
    adapted: Adapted | None = None


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The options of ``open_session``, as passed to the runtime of a device."""

    device: str
    precision: str = "fp32"
    shapes: Shapes | None = None
    threads: int | None = None
    streams: int = 1
    cache_dir: Path | None = None


def start(session: Session, inputs: Sequence[Array]) -> Running:
    """Begin a run in the background if the session can; otherwise ``Running.result`` runs it."""
    return session.start(inputs) if isinstance(session, BackgroundSession) else _Deferred(session, inputs)


@dataclass(frozen=True, slots=True)
class _Deferred:
    session: Session
    inputs: Sequence[Array]

    def result(self) -> list[Array]:
        return self.session.run(self.inputs)

    def discard(self) -> None:
        """There is nothing to wait for."""


class OpeningSession:
    """A session that is being opened in another thread; the first use waits for it and raises what its opening does."""

    def __init__(self, opening: Future[Session]) -> None:
        self._opening = opening

    @property
    def device(self) -> str:
        return self._opening.result().device

    @property
    def precision(self) -> str:
        return self._opening.result().precision

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        return self._opening.result().run(inputs)

    def start(self, inputs: Sequence[Array]) -> Running:
        return start(self._opening.result(), inputs)


def cast_inputs(inputs: Sequence[Array], types: Sequence[np.dtype[Any]]) -> list[Array]:
    """Cast arrays to the model's input types.

    Raises InferenceFailed for another number of arrays, or for a cast to another kind (float to integer, say).
    """
    if len(inputs) != len(types):
        raise InferenceFailed(f"the model takes {len(types)} inputs, got {len(inputs)}")
    arrays = [np.asarray(array) for array in inputs]
    for index, (array, kind) in enumerate(zip(arrays, types, strict=True)):
        if not np.can_cast(array.dtype, kind, "same_kind"):
            raise InferenceFailed(f"input {index} of the model takes {kind}, got {array.dtype}")
    return [np.asarray(array, kind, order="C") for array, kind in zip(arrays, types, strict=True)]


def shape_map(shapes: Shapes, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return fixed shapes by input name. Raises ValueError if they do not match the names."""
    if not isinstance(shapes, Mapping):
        if len(names) != 1:
            raise ValueError(f"got one shape for {len(names)} inputs")
        return {names[0]: tuple(shapes)}
    if unknown := set(shapes) - set(names):
        raise ValueError(f"unknown input {', '.join(sorted(unknown))}: expected {', '.join(names)}")
    return dict(shapes)


def label_of(model: bytes | Path) -> str:
    """Return a name for the model in error messages."""
    return model.name if isinstance(model, Path) else f"({len(model)} bytes)"


def is_tflite(model: bytes | Path) -> bool:
    """Return whether a model is TensorFlow Lite, by its file identifier."""
    if isinstance(model, Path):
        with model.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"
    return model[4:8] == b"TFL3"
