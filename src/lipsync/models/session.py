"""Networks behind one call: arrays in, arrays out. OpenVINO runs them on the CPU."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import InferenceFailed, ModelCorrupt, ModelMissing
from lipsync.media.scratch import scratch_errors

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]] | Sequence[int]
TFLITE_MARK = slice(4, 8), b"TFL3"


class Session(Protocol):
    """A network that is ready to run."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One pass: the arrays of all inputs in the network's order, to those of all outputs in its order.

        Safe from several threads. Raises InferenceFailed.
        """


def open_session(
    model: bytes | Path,
    *,
    shapes: Shapes | None = None,
    threads: int | None = None,
    streams: int = 1,
    cache_dir: Path | None = None,
) -> Session:
    """Load a network (ONNX or TensorFlow Lite: a file or its bytes) and compile it for this CPU.

    ``shapes``: fixed shapes of the inputs, by name, or one shape for a network with one input. ``threads``: how many
    the network may use in all, every core by default. ``streams``: how many calls run side by side, each with its share
    of the threads; one (the default) has the shortest latency. ``cache_dir``: a directory that keeps compiled networks.

    Raises ModelMissing or ModelCorrupt.
    """
    core = shared_core()
    network = _read(core, model)
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": streams}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    if cache_dir is not None:
        options["CACHE_DIR"] = str(cache_dir)
    try:
        if shapes is not None:
            network.reshape(_shape_map(shapes))
        compiled = core.compile_model(network, "CPU", options)
    except (RuntimeError, TypeError, ValueError) as exc:
        raise ModelCorrupt(f"the network {_name(model)} cannot be set up: {_first_line(exc)}") from exc
    return _OpenVinoSession(compiled, streams)


class _OpenVinoSession:
    """A fixed set of inference requests, lent to whoever calls."""

    def __init__(self, compiled: CompiledModel, streams: int) -> None:
        self._inputs = len(compiled.inputs)
        self._outputs = range(len(compiled.outputs))
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(streams):
            self._free.put(compiled.create_infer_request())

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        if len(inputs) != self._inputs:
            raise InferenceFailed(f"the network takes {self._inputs} arrays, {len(inputs)} given")
        request = self._free.get()
        try:
            request.infer(list(inputs), share_inputs=True, share_outputs=True)
            return [np.array(request.get_output_tensor(i).data) for i in self._outputs]
        except (RuntimeError, TypeError, ValueError) as exc:
            raise InferenceFailed(f"the network failed: {_first_line(exc)}") from exc
        finally:
            self._free.put(request)


def _read(core: Core, model: bytes | Path) -> Model:
    if isinstance(model, Path):
        if not model.is_file():
            raise ModelMissing(f"there is no network at {model}")
    elif model[TFLITE_MARK[0]] == TFLITE_MARK[1]:
        return _read_by_name(core, model)
    try:
        return core.read_model(model)
    except RuntimeError as exc:
        raise ModelCorrupt(f"{_name(model)} is no network that can be read") from exc


def _read_by_name(core: Core, content: bytes) -> Model:
    """OpenVINO tells TensorFlow Lite by the file's name alone, so it gets a file for as long as it reads."""
    with scratch_errors(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "network.tflite")
        try:
            path.write_bytes(content)
            return core.read_model(path)
        except RuntimeError as exc:
            raise ModelCorrupt("the network's bytes cannot be read") from exc


def _shape_map(shapes: Shapes) -> Any:
    return dict(shapes) if isinstance(shapes, Mapping) else list(shapes)


def _name(model: bytes | Path) -> str:
    return model.name if isinstance(model, Path) else f"of {len(model)} bytes"


def _first_line(exc: Exception) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception from")]
    return (told or lines or [type(exc).__name__])[0]


@cache
def shared_core() -> Core:
    """The one Core of this process, which lives as long as it does.

    Each Core gives the thread an alternate signal stack and takes it away when it ends. Two that end in the order they
    began leave the thread with the stack that was freed, and the next signal (Ctrl-C) kills the process.
    """
    with _without_telemetry():
        import openvino
    return openvino.Core()


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Importing openvino reports to Google Analytics and writes an identifier into the home directory, unless the
    package for that is missing: let it be missing for as long as the import takes."""
    name = "openvino_telemetry"
    if "openvino" in sys.modules or name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
