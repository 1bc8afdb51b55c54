"""Networks behind one call: arrays in, arrays out, on whatever this machine has.

cpu          OpenVINO; bf16 where the processor has it, fp16 where OpenVINO lists it (ARM)
onnxruntime  ONNX Runtime on the processor, for networks and machines that OpenVINO does not take; fp32 alone
cuda         ONNX Runtime on NVIDIA cards; fp32 or fp16, like all that follow
tensorrt     the same cards, faster, once it has built its engine, which takes minutes
coreml       ONNX Runtime on Apple's
directml     ONNX Runtime on any card under Windows
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
    """Where and in what a network computes: a name in DEVICES, and "fp32", "bf16" or "fp16"."""

    device: str
    precision: str


Factory = Callable[[bytes | Path, SessionOptions], Session]


def _openvino(model: bytes | Path, setup: SessionOptions) -> Session:
    from lipsync.models.openvino_session import open_openvino

    return open_openvino(model, setup)


def _onnxruntime(model: bytes | Path, setup: SessionOptions) -> Session:
    from lipsync.models.onnxruntime_session import open_onnxruntime

    return open_onnxruntime(model, setup)


DEVICES: Final[Mapping[str, Factory]] = {
    "cpu": _openvino,
    "onnxruntime": _onnxruntime,
    "cuda": _onnxruntime,
    "tensorrt": _onnxruntime,
    "coreml": _onnxruntime,
    "directml": _onnxruntime,
}
PRECISIONS: Final = ("fp32", "bf16", "fp16")
_SOUGHT: Final = ("cuda", "coreml", "directml")  # by "auto", in this order, before the processor
_BEST: Final = {"cpu": ("bf16", "fp32"), "onnxruntime": ("fp32",)}  # by "auto"; of the others, fp16

# y = convolution of x (1, 1, 2, 2) with the number 2, in float32 and in float16: what a device must do to be there.
# A convolution, so that cuDNN is tried too. Written down, because making it takes a package that is an extra.
_TINY: Final = (
    b'\x08\x08\x12\x00:c\n\x0f\n\x01x\n\x01w\x12\x01y"\x04Conv\x12\x01g*\x13\x08\x01\x08\x01\x08\x01\x08\x01\x10\x01'
    b"B\x01wJ\x04\x00\x00\x00@Z\x1b\n\x01x\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02"
    b"\n\x02\x08\x02b\x1b\n\x01y\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08"
    b"\x02B\x04\n\x00\x10\r"
)
_TINY_HALF: Final = (
    b'\x08\x08\x12\x00:a\n\x0f\n\x01x\n\x01w\x12\x01y"\x04Conv\x12\x01g*\x11\x08\x01\x08\x01\x08\x01\x08\x01\x10\n'
    b"B\x01wJ\x02\x00@Z\x1b\n\x01x\x12\x16\n\x14\x08\n\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08"
    b"\x02b\x1b\n\x01y\x12\x16\n\x14\x08\n\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08\x02B\x04\n"
    b"\x00\x10\r"
)


def choose_runtime(device: str = "auto", precision: str = "auto") -> Runtime:
    """Where and in what to compute here, each tried out with a tiny network.

    ``device``: one of DEVICES, or "auto": the first of cuda, coreml and directml that is there, else cpu. TensorRT is
    never chosen, since its first run takes minutes. ``precision``: one of PRECISIONS, or "auto": bf16 on a processor
    that has it, fp16 on cards, else fp32.

    Raises OptionInvalid for a word that is none of these, DeviceUnavailable where what was asked for is not to be had.
    """
    _known("device", device, ("auto", *DEVICES))
    _known("precision", precision, ("auto", *PRECISIONS))
    for name in _SOUGHT if device == "auto" else ():
        try:
            return _tried(name, precision)
        except LipsyncError:
            continue
    return _tried("cpu" if device == "auto" else device, precision)


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
    """Load a network (ONNX; on "cpu" TensorFlow Lite too: a file or its bytes) and make it ready to run.

    ``device``, ``precision``: as in Runtime. A processor computes any graph in the precision given; cards compute a
    float16 graph in fp16 and others in fp32, except TensorRT. ``shapes``: fixed shapes of the inputs, by name, or one
    shape for a network with one input. ``threads``: how many the network may use in all, every core by default.
    ``streams``: how many calls run side by side, each with its share of the threads; one (the default) has the
    shortest latency. ``cache_dir``: a directory that keeps compiled networks, made if missing.

    Raises ModelMissing, ModelCorrupt, DeviceUnavailable, OutOfMemory, OptionInvalid; for a cache directory that cannot
    be made, DiskFull or OutputUnwritable.
    """
    _known("device", device, tuple(DEVICES))
    _known("precision", precision, PRECISIONS)
    if streams < 1 or (threads is not None and threads < 1):
        raise OptionInvalid("a network needs at least one thread and one stream")
    if isinstance(model, Path) and not model.is_file():
        raise ModelMissing(f"there is no network at {model}")
    if cache_dir is not None:
        with scratch_errors():
            cache_dir.mkdir(parents=True, exist_ok=True)
    return DEVICES[device](model, SessionOptions(device, precision, shapes, threads, streams, cache_dir))


def _known(what: str, word: str, choices: Sequence[str]) -> None:
    if word not in choices:
        raise OptionInvalid(f"{word!r} is no {what}; there are {', '.join(choices)}")


def _tried(device: str, precision: str) -> Runtime:
    """The first precision that this device really computes in. Raises DeviceUnavailable, OutOfMemory."""
    refused: DeviceUnavailable | None = None
    for wanted in _BEST.get(device, ("fp16",)) if precision == "auto" else (precision,):
        try:
            _try(Runtime(device, wanted))
        except DeviceUnavailable as exc:
            refused = refused or exc
        except InferenceFailed as exc:
            raise DeviceUnavailable(f"{device} is there and does not work: {exc}") from exc
        else:
            return Runtime(device, wanted)
    raise refused or DeviceUnavailable(f"{device} computes in nothing")


def _try(runtime: Runtime) -> None:
    session = open_session(
        _TINY_HALF if runtime.precision == "fp16" else _TINY, device=runtime.device, precision=runtime.precision
    )
    if session.precision != runtime.precision:
        raise DeviceUnavailable(f"{runtime.device} computes in {session.precision} when asked for {runtime.precision}")
    (result,) = session.run([np.full((1, 1, 2, 2), 3, np.float32)])
    if not np.array_equal(result, np.full((1, 1, 2, 2), 6)):
        raise DeviceUnavailable(f"{runtime.device} computes wrong numbers in {runtime.precision}")
