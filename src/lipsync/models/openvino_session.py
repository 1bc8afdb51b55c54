"""Networks on this machine's processor, by OpenVINO."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from queue import LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lipsync.errors import DeviceUnavailable, InferenceFailed, ModelCorrupt, OutOfMemory
from lipsync.files import scratch_errors
from lipsync.models.oom import failure
from lipsync.models.session import Array, Session, SessionOptions, cast_inputs, described, is_tflite, shape_map

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model

_HINTS: Final = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_FAILURES: Final = (RuntimeError, TypeError, ValueError, MemoryError)


def open_openvino(model: bytes | Path, setup: SessionOptions) -> Session:
    """A network (ONNX or TensorFlow Lite) on the processor.

    Raises ModelCorrupt, OutOfMemory, and DeviceUnavailable where the processor does not have the precision.
    """
    core = shared_core()
    if setup.precision.upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        # OpenVINO would take the wish and silently compute in something else.
        raise DeviceUnavailable(f"this processor does not compute in {setup.precision}; fp32 always works")
    return _OpenVinoSession(model, setup)


class _OpenVinoSession:
    """A compiled network, and how to compile it anew.

    What was compiled stays broken once memory ran out in it: it asks for as much at every later call, however small.
    For that case the network's file is read again; of a network given as bytes, the bytes are kept.
    """

    def __init__(self, model: bytes | Path, setup: SessionOptions) -> None:
        self._model, self._setup = model, setup
        self._lock = Lock()
        self._compiled: _Compiled | None = _compile(model, setup)
        self.device = setup.device
        self.precision = self._compiled.precision

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        compiled = self._current()
        with suppress(OutOfMemory):
            return compiled.run(inputs)
        self._retire(compiled)
        del compiled  # and its memory, if nobody else is running it
        return self._run_anew(inputs)

    def _current(self) -> _Compiled:
        with self._lock:
            if self._compiled is None:
                self._compiled = _compile(self._model, self._setup)
            return self._compiled

    def _retire(self, compiled: _Compiled) -> None:
        with self._lock:
            if self._compiled is compiled:
                self._compiled = None

    def _run_anew(self, inputs: Sequence[Array]) -> list[Array]:
        """Once more, in what nobody else can have broken: only what fails there is too big itself."""
        with self._lock:
            fresh = _compile(self._model, self._setup)
            results = fresh.run(inputs)
            self._compiled = fresh
            return results


class _Compiled:
    """A fixed set of inference requests, lent to whoever calls."""

    def __init__(self, compiled: CompiledModel, streams: int) -> None:
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = next((ours for ours, theirs in _HINTS.items() if theirs == hint), hint)
        self._types = [port.element_type.to_dtype() for port in compiled.inputs]
        self._outputs = range(len(compiled.outputs))
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(streams):
            self._free.put(compiled.create_infer_request())

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        arrays = cast_inputs(inputs, self._types)
        request = self._free.get()
        try:
            request.infer(arrays, share_inputs=True, share_outputs=True)
            return [_owned(request.get_output_tensor(i).data) for i in self._outputs]
        except _FAILURES as exc:
            raise failure(exc, InferenceFailed, "the network failed") from exc
        finally:
            self._free.put(request)


def _owned(shared: Array) -> Array:
    """A copy: the next call writes over what the request shows."""
    return np.array(shared, np.float32 if np.issubdtype(shared.dtype, np.floating) else shared.dtype)


def _compile(model: bytes | Path, setup: SessionOptions) -> _Compiled:
    """Raises ModelCorrupt, OutOfMemory."""
    core = shared_core()
    network = _read(core, model)
    try:
        if setup.shapes is not None:
            network.reshape(shape_map(setup.shapes, [port.any_name for port in network.inputs]))
        return _Compiled(core.compile_model(network, "CPU", _options(setup)), setup.streams)
    except _FAILURES as exc:
        raise failure(exc, ModelCorrupt, f"the network {described(model)} cannot be set up") from exc


def _options(setup: SessionOptions) -> dict[str, Any]:
    # Without a wish for the precision, processors with bf16 use it and others do not: results would differ by machine.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[setup.precision]}
    options |= {"PERFORMANCE_HINT": "LATENCY"} if setup.streams == 1 else {"NUM_STREAMS": setup.streams}
    if setup.threads is not None:
        options["INFERENCE_NUM_THREADS"] = setup.threads
    if setup.cache_dir is not None:
        options["CACHE_DIR"] = str(setup.cache_dir)
    return options


def _read(core: Core, model: bytes | Path) -> Model:
    if isinstance(model, bytes) and is_tflite(model):
        return _read_by_name(core, model)
    try:
        return core.read_model(model)
    except _FAILURES as exc:
        raise failure(exc, ModelCorrupt, f"{described(model)} is no network that can be read") from exc


def _read_by_name(core: Core, content: bytes) -> Model:
    """OpenVINO tells TensorFlow Lite by the file's name alone, so it gets a file for as long as it reads."""
    with scratch_errors(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "network.tflite")
        try:
            path.write_bytes(content)
            return core.read_model(path)
        except _FAILURES as exc:
            raise failure(exc, ModelCorrupt, "the network's bytes cannot be read") from exc


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
