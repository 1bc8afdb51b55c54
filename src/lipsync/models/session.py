"""What a network is that is ready to run, whatever runs it; ``devices`` opens one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import InferenceFailed

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]] | Sequence[int]


class Session(Protocol):
    """A network that is ready to run.

    ``device``: its name in DEVICES; ``precision``: what it really computes in, "fp32", "bf16" or "fp16".
    """

    device: str
    precision: str

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One pass: the arrays of all inputs in the network's order, to those of all outputs in its order.

        Floating inputs of any width are cast to what the network takes; floating outputs are float32. The results
        belong to the caller. Safe from several threads. Raises InferenceFailed, OutOfMemory; the session lives on.
        """


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How a network was computed: on which device, in which precision, at most how many frames at once in the end.

    ``notes``: what did not go as planned, for a person. ``weights``: name and SHA-256 of each weights file used.
    """

    device: str
    precision: str
    batch: int
    notes: tuple[str, ...] = ()
    weights: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What ``open_session`` was asked for, as every device gets it."""

    device: str
    precision: str = "fp32"
    shapes: Shapes | None = None
    threads: int | None = None
    streams: int = 1
    cache_dir: Path | None = None


def cast_inputs(inputs: Sequence[Array], types: Sequence[np.dtype[Any]]) -> list[Array]:
    """The arrays as a network with inputs of these types takes them.

    Raises InferenceFailed for another number of arrays, or numbers that would lose their kind (text, float to integer).
    """
    if len(inputs) != len(types):
        raise InferenceFailed(f"the network takes {len(types)} arrays, {len(inputs)} given")
    arrays = [np.asarray(array) for array in inputs]
    for place, (array, kind) in enumerate(zip(arrays, types, strict=True)):
        if not np.can_cast(array.dtype, kind, "same_kind"):
            raise InferenceFailed(f"input {place} of the network takes {kind}, {array.dtype} given")
    return [np.asarray(array, kind, order="C") for array, kind in zip(arrays, types, strict=True)]


def shape_map(shapes: Shapes, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Fixed shapes by the input's name. Raises ValueError where they are not those of inputs with these names."""
    if not isinstance(shapes, Mapping):
        if len(names) != 1:
            raise ValueError(f"one shape was given for {len(names)} inputs")
        return {names[0]: tuple(shapes)}
    if strangers := set(shapes) - set(names):
        raise ValueError(f"no input is called {', '.join(sorted(strangers))}, but {', '.join(names)}")
    return dict(shapes)


def described(model: bytes | Path) -> str:
    """What to call a network in a message."""
    return model.name if isinstance(model, Path) else f"of {len(model)} bytes"


def is_tflite(model: bytes | Path) -> bool:
    """Whether a network is TensorFlow Lite's, by the mark in its first bytes."""
    if isinstance(model, Path):
        with model.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"
    return model[4:8] == b"TFL3"
