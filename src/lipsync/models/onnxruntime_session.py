"""Networks on graphics cards, Apple's chips, or the processor, by ONNX Runtime."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from lipsync.errors import DeviceUnavailable, InferenceFailed, LipsyncError, ModelCorrupt
from lipsync.files import scratch_errors, sha256_of
from lipsync.models.oom import failure, is_out_of_memory
from lipsync.models.session import Array, Session, SessionOptions, cast_inputs, described, is_tflite, shape_map

_PROVIDERS: Final[Mapping[str, str]] = {
    "onnxruntime": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_HINTS: Final[Mapping[str, str]] = {
    "onnxruntime": 'pip install "lip-sync-service[onnxruntime]"',
    "cuda": 'it needs an NVIDIA card and, in place of onnxruntime, pip install "onnxruntime-gpu[cuda,cudnn]"',
    "tensorrt": "it needs what cuda needs, and pip install tensorrt",
    "coreml": "it needs macOS and pip install onnxruntime",
    "directml": "it needs Windows and, in place of onnxruntime, pip install onnxruntime-directml",
}
_TYPES: Final[Mapping[str, str]] = {"float": "float32", "double": "float64"}  # where numpy has another word
_SILENT: Final = 4  # log nothing but what ends the process: failures come as exceptions, and stderr is not ours


def open_onnxruntime(model: bytes | Path, setup: SessionOptions) -> Session:
    """An ONNX network on the device of that name.

    Raises ModelCorrupt, OutOfMemory, and DeviceUnavailable where the device or its precision is not to be had.
    """
    if setup.precision == "bf16" or (setup.device, setup.precision) == ("onnxruntime", "fp16"):
        # On a processor it takes float16 graphs, puts casts around them and computes in fp32.
        raise DeviceUnavailable(f"{setup.device} does not compute in {setup.precision}; fp32 always works")
    runtime = _runtime(setup.device)
    if is_tflite(model):
        raise ModelCorrupt(f"the network {described(model)} is TensorFlow Lite's, which only the device cpu runs")
    # Neither a provider that cannot be loaded nor one that fails later may be replaced behind our back.
    try:
        session = runtime.InferenceSession(
            _source(model), _options(runtime, setup), providers=_providers(model, setup), enable_fallback=0
        )
        if session.get_providers()[0] != _PROVIDERS[setup.device]:
            raise _unavailable(setup.device)
        return _OnnxRuntimeSession(session, setup)
    except _failures() as exc:
        raise _refusal(exc, runtime, model, setup) from exc


class _OnnxRuntimeSession:
    def __init__(self, session: Any, setup: SessionOptions) -> None:
        ports = session.get_inputs()
        self._session = session
        self._types = [_dtype(port.type) for port in ports]
        self._names = [port.name for port in ports]
        self._fixed = {} if setup.shapes is None else shape_map(setup.shapes, self._names)
        for port in ports:
            if not _fits(self._fixed.get(port.name, port.shape), port.shape):
                raise ValueError(f"its input {port.name} has the shape {port.shape}")
        self.device = setup.device
        self.precision = _precision(setup, [*self._types, *(_dtype(port.type) for port in session.get_outputs())])
        # DirectML's provider forbids two runs of one session at a time; all others allow it.
        self._turn: AbstractContextManager[Any] = Lock() if setup.device == "directml" else nullcontext()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        feed = dict(zip(self._names, cast_inputs(inputs, self._types), strict=True))
        for name, shape in self._fixed.items():
            if feed[name].shape != shape:
                raise InferenceFailed(f"input {name} of the network has the shape {shape}, {feed[name].shape} given")
        try:
            with self._turn:
                results = self._session.run(None, feed)
            return [r.astype(np.float32, copy=False) if np.issubdtype(r.dtype, np.floating) else r for r in results]
        except _failures() as exc:
            raise failure(exc, InferenceFailed, "the network failed") from exc


def _precision(setup: SessionOptions, types: Sequence[np.dtype[Any]]) -> str:
    """What it computes in: a processor in fp32 always, cards in what the graph says, TensorRT in what it was told."""
    if setup.device == "onnxruntime":
        return "fp32"
    if np.dtype(np.float16) in types:
        return "fp16"
    return setup.precision if setup.device == "tensorrt" else "fp32"


def _dtype(kind: str) -> np.dtype[Any]:
    """ONNX Runtime's "tensor(float)" as numpy's. Raises TypeError for what is no tensor of numbers."""
    word = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype(_TYPES.get(word, word))


def _fits(shape: Sequence[int], port: Sequence[int | str | None]) -> bool:
    return len(shape) == len(port) and all(
        not isinstance(theirs, int) or ours == theirs for ours, theirs in zip(shape, port, strict=True)
    )


def _options(runtime: Any, setup: SessionOptions) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _SILENT
    # Runs share one pool, and each brings its own thread: together no more than were allowed. Named in any case: left
    # to itself the runtime nails its threads to cores, and complains where a container forbids that.
    options.intra_op_num_threads = max(1, (setup.threads or _cores()) - setup.streams + 1)
    options.inter_op_num_threads = 1
    # Threads that wait by spinning would take the cores from the decoder and the encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if setup.device == "directml":
        options.enable_mem_pattern = False  # which its provider demands
    return options


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _providers(model: bytes | Path, setup: SessionOptions) -> list[tuple[str, dict[str, str]]]:
    """The device's provider with its options, then what computes the nodes that it does not have."""
    kept = _kept(model, setup.cache_dir) if setup.cache_dir and setup.device in ("tensorrt", "coreml") else None
    # Memory as asked for, not doubled; no search through all algorithms at every new batch size; fp32 is no TF32.
    cuda = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    name, last = _PROVIDERS[setup.device], (_PROVIDERS["onnxruntime"], dict[str, str]())
    if setup.device == "cuda":
        return [(name, cuda), last]
    if setup.device == "tensorrt":
        options = {"trt_fp16_enable": str(setup.precision == "fp16")}
        if kept:
            options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": kept}
            options |= {"trt_timing_cache_enable": "True", "trt_timing_cache_path": kept}
        return [(name, options), (_PROVIDERS["cuda"], cuda), last]
    if setup.device == "coreml":
        # The older format computes in fp16 whatever the graph says.
        options = {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
        return [(name, options | ({"ModelCacheDirectory": kept} if kept else {})), last]
    return [(name, {}), last] if setup.device == "directml" else [last]


def _kept(model: bytes | Path, cache_dir: Path) -> str:
    """A directory for this very network: the providers tell networks by their layers' names, not by their weights, and
    would run one checkpoint's engine for another."""
    digest = sha256_of(model) if isinstance(model, Path) else hashlib.sha256(model).hexdigest()
    path = cache_dir / digest[:32]
    with scratch_errors():
        path.mkdir(parents=True, exist_ok=True)
    return str(path)


def _source(model: bytes | Path) -> bytes | str:
    return str(model) if isinstance(model, Path) else model


def _refusal(exc: BaseException, runtime: Any, model: bytes | Path, setup: SessionOptions) -> LipsyncError:
    """Why a network could not be opened: memory, the network, or the device if the processor opens it well."""
    if setup.device != "onnxruntime" and not is_out_of_memory(exc):
        options = _options(runtime, setup)
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = runtime.InferenceSession(_source(model), options, providers=[_PROVIDERS["onnxruntime"]])
            _OnnxRuntimeSession(session, setup)
        except _failures() as worse:
            return failure(worse, ModelCorrupt, f"the network {described(model)} cannot be set up")
        return failure(exc, DeviceUnavailable, f"{_unavailable(setup.device)}; it says")
    return failure(exc, ModelCorrupt, f"the network {described(model)} cannot be set up")


def _unavailable(device: str) -> DeviceUnavailable:
    return DeviceUnavailable(f"{device} is not to be had here: {_HINTS[device]}")


def _runtime(device: str) -> Any:
    """The package, once it has this device's provider. Raises DeviceUnavailable."""
    try:
        runtime = shared_runtime()
    except ImportError as exc:
        raise _unavailable(device) from exc
    if _PROVIDERS[device] not in runtime.get_available_providers():
        raise _unavailable(device)
    return runtime


@cache
def shared_runtime() -> Any:
    """The onnxruntime package, made silent. Raises ImportError."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_SILENT)
    onnxruntime.disable_telemetry_events()
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and hasattr(onnxruntime, "preload_dlls"):
        # CUDA's libraries may be pip's, where no loader looks. What is missing it would print.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    return onnxruntime


@cache
def _failures() -> tuple[type[Exception], ...]:
    """What the package raises: classes of its own that share no base but Exception, and Python's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, TypeError, ValueError, MemoryError)
