"""Choose a device and open models on it.

cpu          OpenVINO; bf16 if the CPU supports it, fp16 where OpenVINO lists it (ARM)
onnxruntime  ONNX Runtime on the CPU, for models and machines that OpenVINO does not support; fp32 only
cuda         ONNX Runtime on NVIDIA GPUs; fp32 or fp16, like all that follow
tensorrt     the same GPUs, faster, after an engine build that takes minutes
coreml       ONNX Runtime on Apple hardware
directml     ONNX Runtime on any GPU under Windows
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lipsync.errors import DeviceUnavailable, InferenceFailed, LipsyncError, ModelMissing, OptionInvalid
from lipsync.files import scratch_errors
from lipsync.models.session import Session, SessionOptions, Shapes


@dataclass(frozen=True, slots=True)
class Runtime:
    """A device (a name in DEVICES) and a precision ("fp32", "bf16" or "fp16")."""

    device: str
    precision: str


Factory = Callable[[bytes | Path, SessionOptions], Session]


def _openvino(model: bytes | Path, options: SessionOptions) -> Session:
    from lipsync.models.openvino_session import open_openvino

    return open_openvino(model, options)


def _onnxruntime(model: bytes | Path, options: SessionOptions) -> Session:
    from lipsync.models.onnxruntime_session import open_onnxruntime

    return open_onnxruntime(model, options)


DEVICES: Final[Mapping[str, Factory]] = {
    "cpu": _openvino,
    "onnxruntime": _onnxruntime,
    "cuda": _onnxruntime,
    "tensorrt": _onnxruntime,
    "coreml": _onnxruntime,
    "directml": _onnxruntime,
}
PRECISIONS: Final = ("fp32", "bf16", "fp16")
_AUTO_DEVICES: Final = ("cuda", "coreml", "directml")  # tried in this order before the CPU
_AUTO_PRECISIONS: Final = {"cpu": ("bf16", "fp32"), "onnxruntime": ("fp32",)}  # of all others: fp16

# y = convolution of x (1, 1, 2, 2) with the number 2, in float32 and in float16, to probe devices. A convolution, so
# that cuDNN is loaded. Stored as bytes, because building it needs the onnx package, which is an extra.
_PROBE_FP32: Final = (
    b'\x08\x08\x12\x00:c\n\x0f\n\x01x\n\x01w\x12\x01y"\x04Conv\x12\x01g*\x13\x08\x01\x08\x01\x08\x01\x08\x01\x10\x01'
    b"B\x01wJ\x04\x00\x00\x00@Z\x1b\n\x01x\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02"
    b"\n\x02\x08\x02b\x1b\n\x01y\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08"
    b"\x02B\x04\n\x00\x10\r"
)
_PROBE_FP16: Final = (
    b'\x08\x08\x12\x00:a\n\x0f\n\x01x\n\x01w\x12\x01y"\x04Conv\x12\x01g*\x11\x08\x01\x08\x01\x08\x01\x08\x01\x10\n'
    b"B\x01wJ\x02\x00@Z\x1b\n\x01x\x12\x16\n\x14\x08\n\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08"
    b"\x02b\x1b\n\x01y\x12\x16\n\x14\x08\n\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08\x02B\x04\n"
    b"\x00\x10\r"
)


def choose_runtime(device: str = "auto", precision: str = "auto") -> Runtime:
    """Choose a device and a precision; probe them with a tiny model.

    ``device``: one of DEVICES, or "auto": the first available of cuda, coreml and directml, else cpu. TensorRT is never
    chosen automatically, because its first run takes minutes. ``precision``: one of PRECISIONS, or "auto": bf16 on a
    CPU that supports it, fp16 on GPUs, else fp32.

    Raises OptionInvalid for an unknown name, DeviceUnavailable.
    """
    _check_choice("device", device, ("auto", *DEVICES))
    _check_choice("precision", precision, ("auto", *PRECISIONS))
    for name in _AUTO_DEVICES if device == "auto" else ():
        try:
            return _probe_device(name, precision)
        except LipsyncError:
            continue
    return _probe_device("cpu" if device == "auto" else device, precision)


def open_session(
    model: bytes | Path,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    shapes: Shapes | None = None,
    threads: int | None = None,
    streams: int = 1,
    cache_dir: Path | None = None,
) -> Session:
    """Load a model (ONNX; on "cpu" also TensorFlow Lite), given as a path or as bytes.

    ``device``, ``precision``: as in Runtime. CPUs run any graph in the given precision; GPUs run float16 graphs in fp16
    and others in fp32, except with TensorRT. ``shapes``: fixed input shapes by name, or one shape for a model with one
    input. ``threads``: in total; default: all cores. ``streams``: number of concurrent calls, which share the threads;
    1 has the lowest latency. ``cache_dir``: folder for compiled models, created if missing.

    Raises ModelMissing, ModelCorrupt, DeviceUnavailable, OutOfMemory, OptionInvalid; DiskFull or OutputUnwritable if
    the cache folder cannot be created.
    """
    _check_choice("device", device, tuple(DEVICES))
    _check_choice("precision", precision, PRECISIONS)
    if streams < 1 or (threads is not None and threads < 1):
        raise OptionInvalid("threads and streams must be at least 1")
    if isinstance(model, Path) and not model.is_file():
        raise ModelMissing(f"{model}: no such file")
    if cache_dir is not None:
        with scratch_errors():
            cache_dir.mkdir(parents=True, exist_ok=True)
    return DEVICES[device](model, SessionOptions(device, precision, shapes, threads, streams, cache_dir))


def _check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise OptionInvalid(f"invalid {option} {value!r}: expected one of {', '.join(choices)}")


def _probe_device(device: str, precision: str) -> Runtime:
    """Return the first precision that works on the device. Raises DeviceUnavailable, OutOfMemory."""
    first_error: DeviceUnavailable | None = None
    for candidate in _AUTO_PRECISIONS.get(device, ("fp16",)) if precision == "auto" else (precision,):
        try:
            _probe(Runtime(device, candidate))
        except DeviceUnavailable as exc:
            first_error = first_error or exc
        except InferenceFailed as exc:
            raise DeviceUnavailable(f"device {device!r} does not work: {exc}") from exc
        else:
            return Runtime(device, candidate)
    raise first_error or DeviceUnavailable(f"device {device!r} supports no precision")


def _probe(runtime: Runtime) -> None:
    session = open_session(
        _PROBE_FP16 if runtime.precision == "fp16" else _PROBE_FP32, device=runtime.device, precision=runtime.precision
    )
    if session.precision != runtime.precision:
        raise DeviceUnavailable(f"device {runtime.device!r} uses {session.precision} instead of {runtime.precision}")
    (result,) = session.run([np.full((1, 1, 2, 2), 3, np.float32)])
    if not np.array_equal(result, np.full((1, 1, 2, 2), 6)):
        raise DeviceUnavailable(f"device {runtime.device!r} returns wrong results in {runtime.precision}")
