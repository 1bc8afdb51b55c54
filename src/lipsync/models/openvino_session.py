"""Inference on the CPU with OpenVINO."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from queue import Empty, LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lipsync.errors import DeviceUnavailable, InferenceFailed, ModelCorrupt, OutOfMemory
from lipsync.files import scratch_errors, sha256_of
from lipsync.models.compiled_cache import CompiledCache, cache_folder
from lipsync.models.direct_convolutions import PRIORITIES, with_direct_convolutions
from lipsync.models.oom import map_error
from lipsync.models.session import Array, Running, Session, SessionOptions, cast_inputs, is_tflite, label_of, shape_map

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model

_HINTS: Final = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CONVERTER: Final = ("openvino.tools.ovc", "openvino_telemetry")
_FAILURES: Final = (RuntimeError, TypeError, ValueError, MemoryError)
PACKAGE: Final = Path(__file__).resolve().parents[1]
_CORE_LOCK: Final = Lock()


def open_openvino(model: bytes | Path, options: SessionOptions) -> Session:
    """Open a model (ONNX or TensorFlow Lite) on the CPU.

    Raises ModelCorrupt, OutOfMemory, and DeviceUnavailable if the CPU does not support the precision.
    """
    core = shared_core()
    if options.precision.upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        # OpenVINO would accept the hint and silently use another precision.
        raise DeviceUnavailable(f"this CPU does not support {options.precision}. Use --precision fp32")
    return _OpenVinoSession(model, options)


class _OpenVinoSession:
    """A compiled model that recompiles after running out of memory.

    A compiled model that ran out of memory once requests as much memory in every later call, however small the input.
    It is then compiled again from its file, or from the bytes that it was given as.
    """

    def __init__(self, model: bytes | Path, options: SessionOptions) -> None:
        self._model, self._options = model, options
        self._lock = Lock()
        self._compiled: _Compiled | None = _compile(model, options)
        self.device = options.device
        self.precision = self._compiled.precision

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        compiled = self._current()
        with suppress(OutOfMemory):
            return compiled.run(inputs)
        self.retire(compiled)
        del compiled  # and its memory, unless another thread is running it
        return self.run_recompiled(inputs)

    def start(self, inputs: Sequence[Array]) -> Running:
        return _Running(self, self._current(), inputs)

    def _current(self) -> _Compiled:
        with self._lock:
            if self._compiled is None:
                self._compiled = _compile(self._model, self._options)
            return self._compiled

    def retire(self, compiled: _Compiled) -> None:
        """Drop a model that ran out of memory, unless it was replaced already."""
        with self._lock:
            if self._compiled is compiled:
                self._compiled = None

    def run_recompiled(self, inputs: Sequence[Array]) -> list[Array]:
        """Run in a newly compiled model, so that a second failure is due to the size of the inputs."""
        with self._lock:
            fresh = _compile(self._model, self._options)
            results = fresh.run(inputs)
            self._compiled = fresh
            return results


class _Running:
    """One request in the background; ``_arrays`` keeps the memory that it reads."""

    def __init__(self, session: _OpenVinoSession, compiled: _Compiled, inputs: Sequence[Array]) -> None:
        self._session, self._inputs = session, inputs
        self._compiled: _Compiled | None = compiled
        self._arrays, self._request = compiled.start(inputs)

    def result(self) -> list[Array]:
        compiled, self._compiled = self._compiled, None
        if compiled is None:
            raise InferenceFailed("the result of this run was taken already")
        with suppress(OutOfMemory):
            return compiled.finish(self._request)
        self._session.retire(compiled)
        del compiled
        return self._session.run_recompiled(self._inputs)

    def discard(self) -> None:
        compiled, self._compiled = self._compiled, None
        if compiled is not None:
            with suppress(InferenceFailed, OutOfMemory):
                compiled.finish(self._request)


class _Compiled:
    """A compiled model with a pool of inference requests."""

    def __init__(self, compiled: CompiledModel, streams: int) -> None:
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = next((ours for ours, theirs in _HINTS.items() if theirs == hint), hint)
        self._types = [port.element_type.to_dtype() for port in compiled.inputs]
        self._outputs = range(len(compiled.outputs))
        self._create = compiled.create_infer_request
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(streams):
            self._free.put(self._create())

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        arrays = cast_inputs(inputs, self._types)
        request = self._take()
        with self._returned(request):
            request.infer(arrays, share_inputs=True, share_outputs=True)
            return self._results(request)

    def start(self, inputs: Sequence[Array]) -> tuple[list[Array], Any]:
        """Begin a run; return the arrays that it reads, and its request."""
        arrays = cast_inputs(inputs, self._types)
        request = self._take()
        try:
            request.start_async(arrays, share_inputs=True)
        except _FAILURES as exc:
            self._free.put(request)
            raise map_error(exc, InferenceFailed, "inference failed") from exc
        return arrays, request

    def finish(self, request: Any) -> list[Array]:
        """Wait for a request of ``start``."""
        with self._returned(request):
            request.wait()
            return self._results(request)

    def _take(self) -> Any:
        """A free request, or a new one, which waits for a free stream when it runs."""
        try:
            return self._free.get_nowait()
        except Empty:
            return self._create()

    def _results(self, request: Any) -> list[Array]:
        return [_copy(request.get_output_tensor(i).data) for i in self._outputs]

    @contextmanager
    def _returned(self, request: Any) -> Iterator[None]:
        """Map the errors of a request and return it to the pool."""
        try:
            yield
        except _FAILURES as exc:
            raise map_error(exc, InferenceFailed, "inference failed") from exc
        finally:
            self._free.put(request)


def _copy(shared: Array) -> Array:
    """Copy a result: the next call overwrites the request's memory."""
    return np.array(shared, np.float32 if np.issubdtype(shared.dtype, np.floating) else shared.dtype)


def _compile(model: bytes | Path, options: SessionOptions) -> _Compiled:
    """Raises ModelCorrupt, OutOfMemory."""
    if options.cache_dir is None and _is_bundled(model):
        return _Compiled(_load_bundled(model, options), options.streams)
    return _Compiled(_compile_anew(model, options), options.streams)


def _compile_anew(model: bytes | Path, options: SessionOptions) -> CompiledModel:
    core = shared_core()
    network = _read(core, model)
    try:
        if options.shapes is not None:
            network.reshape(shape_map(options.shapes, [port.any_name for port in network.inputs]))
        return core.compile_model(network, "CPU", _properties(options))
    except _FAILURES as exc:
        raise map_error(exc, ModelCorrupt, f"cannot load model {label_of(model)}") from exc


def _is_bundled(model: bytes | Path) -> bool:
    return isinstance(model, bytes) or PACKAGE in model.resolve().parents


def _load_bundled(model: bytes | Path, options: SessionOptions) -> CompiledModel:
    """Load a network from the cache of compiled ones; compile and keep it if it is not there."""
    import openvino

    cache, key = CompiledCache(cache_folder()), _cache_key(model, options)
    size = cache.size(key)
    if size is not None:
        with suppress(*_FAILURES):
            content = openvino.Tensor(openvino.Type.u8, [size])  # read in place: the largest network has 40 MB
            if cache.read(key, content.data):
                return shared_core().import_model(content, "CPU", _properties(options))
        cache.discard(key)
    compiled = _compile_anew(model, options)
    with suppress(*_FAILURES):
        cache.keep(key, lambda: _exported(compiled))
    return compiled


def _exported(compiled: CompiledModel) -> bytes:
    content = BytesIO()
    compiled.export_model(content)
    return content.getvalue()


def _cache_key(model: bytes | Path, options: SessionOptions) -> str:
    """The inputs of a compilation: the network, its shapes and options, the runtime and the processor."""
    import openvino

    core = shared_core()
    processor = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    checksum = hashlib.sha256(model).hexdigest() if isinstance(model, bytes) else sha256_of(model)
    parts = (checksum, options.shapes, _properties(options), openvino.__version__, processor, PRIORITIES)
    return repr(parts)


def _properties(options: SessionOptions) -> dict[str, Any]:
    # Without the hint, only CPUs with bf16 use it, and results would differ between machines.
    properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[options.precision]}
    properties |= {"PERFORMANCE_HINT": "LATENCY"} if options.streams == 1 else {"NUM_STREAMS": options.streams}
    if options.threads is not None:
        properties["INFERENCE_NUM_THREADS"] = options.threads
    if options.cache_dir is not None:
        properties["CACHE_DIR"] = str(options.cache_dir)
    return properties


def _read(core: Core, model: bytes | Path) -> Model:
    if isinstance(model, bytes) and is_tflite(model):
        return _read_by_name(core, model)
    try:
        return core.read_model(model)
    except _FAILURES as exc:
        raise map_error(exc, ModelCorrupt, f"cannot read model {label_of(model)}") from exc


def _read_by_name(core: Core, content: bytes) -> Model:
    """Read TensorFlow Lite bytes through a temporary file: OpenVINO detects the format by the file name only."""
    with scratch_errors(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "network.tflite")
        try:
            path.write_bytes(content)
            return with_direct_convolutions(core, core.read_model(path))
        except _FAILURES as exc:
            raise map_error(exc, ModelCorrupt, f"cannot read model {label_of(content)}") from exc


def shared_core() -> Core:
    """Return the process's only Core, which is never destroyed. Thread-safe.

    A Core installs an alternate signal stack for the thread and removes it in its destructor. If two are destroyed in
    the order of their creation, the thread keeps a freed stack, and the next signal (Ctrl-C) kills the process.
    """
    with _CORE_LOCK:  # ``cache`` alone would let two threads create one each
        return _create_core()


@cache
def _create_core() -> Core:
    with _without_converter():
        import openvino
    return openvino.Core()


@contextmanager
def _without_converter() -> Iterator[None]:
    """Hide the converter of other frameworks' models, and its telemetry, during the import of openvino.

    Otherwise the import takes three times as long, reports to Google Analytics and writes an identifier into the home
    folder.
    """
    hidden = [] if "openvino" in sys.modules else [name for name in _CONVERTER if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
