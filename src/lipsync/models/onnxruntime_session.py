"""Inference on GPUs, Apple hardware or the CPU with ONNX Runtime."""

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
from lipsync.models.oom import is_out_of_memory, map_error
from lipsync.models.session import Array, Session, SessionOptions, cast_inputs, is_tflite, label_of, shape_map

_PROVIDERS: Final[Mapping[str, str]] = {
    "onnxruntime": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_INSTALL_HINTS: Final[Mapping[str, str]] = {
    "onnxruntime": 'Run: pip install "lip-sync-service[onnxruntime]"',
    "cuda": 'It needs an NVIDIA GPU. Replace onnxruntime: pip install "onnxruntime-gpu[cuda,cudnn]"',
    "tensorrt": "It needs the same as cuda, and: pip install tensorrt",
    "coreml": "It needs macOS. Run: pip install onnxruntime",
    "directml": "It needs Windows. Replace onnxruntime: pip install onnxruntime-directml",
}
_NUMPY_TYPES: Final[Mapping[str, str]] = {"float": "float32", "double": "float64"}
_LOG_FATAL: Final = 4  # failures are raised as exceptions, and stderr belongs to the caller


def open_onnxruntime(model: bytes | Path, options: SessionOptions) -> Session:
    """Open an ONNX model on the device in ``options``. Raises ModelCorrupt, OutOfMemory, DeviceUnavailable."""
    if options.precision == "bf16" or (options.device, options.precision) == ("onnxruntime", "fp16"):
        # On the CPU it runs float16 graphs in fp32, between casts.
        raise DeviceUnavailable(f"device {options.device!r} does not support {options.precision}. Use --precision fp32")
    runtime = _runtime(options.device)
    if is_tflite(model):
        raise ModelCorrupt(f"model {label_of(model)} is TensorFlow Lite, which only device 'cpu' runs")
    # Never fall back to another provider, neither at load nor later.
    try:
        session = runtime.InferenceSession(
            _source(model), _runtime_options(runtime, options), providers=_providers(model, options), enable_fallback=0
        )
        if session.get_providers()[0] != _PROVIDERS[options.device]:
            raise _unavailable(options.device)
        return _OnnxRuntimeSession(session, options)
    except _failures() as exc:
        raise _load_error(exc, runtime, model, options) from exc


class _OnnxRuntimeSession:
    def __init__(self, session: Any, options: SessionOptions) -> None:
        ports = session.get_inputs()
        self._session = session
        self._types = [_dtype(port.type) for port in ports]
        self._names = [port.name for port in ports]
        self._fixed = {} if options.shapes is None else shape_map(options.shapes, self._names)
        for port in ports:
            if not _fits(self._fixed.get(port.name, port.shape), port.shape):
                raise ValueError(f"input {port.name} has shape {port.shape}")
        self.device = options.device
        self.precision = _precision(options, [*self._types, *(_dtype(port.type) for port in session.get_outputs())])
        # DirectML's provider forbids two runs of one session at a time; all others allow it.
        self._turn: AbstractContextManager[Any] = Lock() if options.device == "directml" else nullcontext()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        feed = dict(zip(self._names, cast_inputs(inputs, self._types), strict=True))
        for name, shape in self._fixed.items():
            if feed[name].shape != shape:
                raise InferenceFailed(f"input {name} of the model has shape {shape}, got {feed[name].shape}")
        try:
            with self._turn:
                results = self._session.run(None, feed)
            return [r.astype(np.float32, copy=False) if np.issubdtype(r.dtype, np.floating) else r for r in results]
        except _failures() as exc:
            raise map_error(exc, InferenceFailed, "inference failed") from exc


def _precision(options: SessionOptions, types: Sequence[np.dtype[Any]]) -> str:
    """Return the precision in use: fp32 on the CPU, the requested one with TensorRT, else the graph's."""
    if options.device == "onnxruntime":
        return "fp32"
    if np.dtype(np.float16) in types:
        return "fp16"
    return options.precision if options.device == "tensorrt" else "fp32"


def _dtype(kind: str) -> np.dtype[Any]:
    """Convert an ONNX Runtime type such as "tensor(float)". Raises TypeError if it is not a numeric tensor."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype(_NUMPY_TYPES.get(name, name))


def _fits(shape: Sequence[int], declared: Sequence[int | str | None]) -> bool:
    return len(shape) == len(declared) and all(
        not isinstance(expected, int) or size == expected for size, expected in zip(shape, declared, strict=True)
    )


def _runtime_options(runtime: Any, options: SessionOptions) -> Any:
    result = runtime.SessionOptions()
    result.log_severity_level = _LOG_FATAL
    # Concurrent runs share one pool, and each adds its own thread: subtract those. Always set: by default the runtime
    # pins its threads to cores, and prints errors in containers that forbid it.
    result.intra_op_num_threads = max(1, (options.threads or _cores()) - options.streams + 1)
    result.inter_op_num_threads = 1
    # Spinning threads would take cores from the decoder and the encoder.
    result.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if options.device == "directml":
        result.enable_mem_pattern = False  # required by its provider
    return result


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _providers(model: bytes | Path, options: SessionOptions) -> list[tuple[str, dict[str, str]]]:
    """Return the device's provider with its options, then the providers for nodes that it does not support."""
    has_cache = options.device in ("tensorrt", "coreml")
    folder = _engine_cache(model, options.cache_dir) if options.cache_dir and has_cache else None
    # No doubling of allocations, no benchmark of algorithms at each new batch size, and no TF32 in fp32.
    cuda = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    name, cpu = _PROVIDERS[options.device], (_PROVIDERS["onnxruntime"], dict[str, str]())
    if options.device == "cuda":
        return [(name, cuda), cpu]
    if options.device == "tensorrt":
        tensorrt = {"trt_fp16_enable": str(options.precision == "fp16")}
        if folder:
            tensorrt |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": folder}
            tensorrt |= {"trt_timing_cache_enable": "True", "trt_timing_cache_path": folder}
        return [(name, tensorrt), (_PROVIDERS["cuda"], cuda), cpu]
    if options.device == "coreml":
        # The older model format always computes in fp16.
        coreml = {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
        return [(name, coreml | ({"ModelCacheDirectory": folder} if folder else {})), cpu]
    return [(name, {}), cpu] if options.device == "directml" else [cpu]


def _engine_cache(model: bytes | Path, cache_dir: Path) -> str:
    """Return a cache folder for this model only.

    The providers identify models by layer names, not by weights, and would run an engine built from other weights.
    """
    digest = sha256_of(model) if isinstance(model, Path) else hashlib.sha256(model).hexdigest()
    path = cache_dir / digest[:32]
    with scratch_errors():
        path.mkdir(parents=True, exist_ok=True)
    return str(path)


def _source(model: bytes | Path) -> bytes | str:
    return str(model) if isinstance(model, Path) else model


def _load_error(exc: BaseException, runtime: Any, model: bytes | Path, options: SessionOptions) -> LipsyncError:
    """Find the cause of a load error: out of memory, a corrupt model, or the device if the CPU loads the model."""
    if options.device != "onnxruntime" and not is_out_of_memory(exc):
        on_cpu = _runtime_options(runtime, options)
        on_cpu.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = runtime.InferenceSession(_source(model), on_cpu, providers=[_PROVIDERS["onnxruntime"]])
            _OnnxRuntimeSession(session, options)
        except _failures() as cpu_error:
            return map_error(cpu_error, ModelCorrupt, f"cannot load model {label_of(model)}")
        return map_error(exc, DeviceUnavailable, f"{_unavailable(options.device)}. ONNX Runtime")
    return map_error(exc, ModelCorrupt, f"cannot load model {label_of(model)}")


def _unavailable(device: str) -> DeviceUnavailable:
    return DeviceUnavailable(f"device {device!r} is not available. {_INSTALL_HINTS[device]}")


def _runtime(device: str) -> Any:
    """Return the package if it has the device's provider. Raises DeviceUnavailable."""
    try:
        runtime = shared_runtime()
    except ImportError as exc:
        raise _unavailable(device) from exc
    if _PROVIDERS[device] not in runtime.get_available_providers():
        raise _unavailable(device)
    return runtime


@cache
def shared_runtime() -> Any:
    """Import onnxruntime and silence it. Raises ImportError."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_LOG_FATAL)
    onnxruntime.disable_telemetry_events()
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and hasattr(onnxruntime, "preload_dlls"):
        # Preload CUDA libraries installed by pip, which the loader does not search. It prints what is missing.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    return onnxruntime


@cache
def _failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of the package: its own classes, whose only common base is Exception, and Python's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, TypeError, ValueError, MemoryError)
