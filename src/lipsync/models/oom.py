"""Distinguish out-of-memory errors from other errors of the inference runtimes.

The runtimes report it only in the message. The patterns come from their sources and from bug reports and are strict,
because callers retry with smaller batches, which would hide any other failure.
"""

from __future__ import annotations

import re
from typing import Final

from lipsync.errors import LipsyncError, ModelError, OutOfMemory

MAX_MESSAGE_CHARS: Final = 400
_PATTERNS: Final = (
    # C++: GCC, Clang, then Microsoft's
    r"\bstd::bad_alloc\b",
    r"\bbad allocation\b",
    # OpenVINO: its CPU plugin, then its core
    r"\bFailed to allocate \d+ bytes of memory\b",
    r"\bCould not allocate memory\b",
    r"\bnode with name '[^']*' can't alloc\b",
    r"\bFailed to allocate memory\s*$",
    # ONNX Runtime's arena, on every device: allocation failed; arena limit reached
    r"\bFailed to allocate memory for requested buffer of size \d",
    r"\bAvailable memory of \d+ is smaller than requested bytes of \d",
    # CUDA by number or by name, cuBLAS, cuDNN 8, cuDNN 9
    r"\bCUDA failure 2: out of memory\b",
    r"\bCUDA error: out of memory\b",
    r"\bcudaErrorMemoryAllocation\b",
    r"\bCUDA_ERROR_OUT_OF_MEMORY\b",
    r"\b(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED\b",
    r"\bCUDNN_STATUS_INTERNAL_ERROR_(?:HOST|DEVICE)_ALLOCATION_FAILED\b",
    # TensorRT, from the oldest to the newest
    r"\bCuda Error in [\w:]+: 2 \(out of memory\)",
    r"\bError Code \d+: Cuda Runtime \(out of memory\)",
    r"\bError Code \d+: OutOfMemory\b",
    # DirectML: the HRESULT, which is the same in all languages
    r"\b(?:0x)?8007000E\b",
    # Metal, below CoreML
    r"\bkIOGPUCommandBufferCallbackErrorOutOfMemory\b",
    r"\bInsufficient Memory \(IOAF code 8\)",
)
_OUT_OF_MEMORY: Final = re.compile("|".join(_PATTERNS), re.IGNORECASE)


def is_out_of_memory(exc: BaseException) -> bool:
    """Return whether a runtime's error means that the machine or the device is out of memory."""
    return isinstance(exc, MemoryError | OutOfMemory) or _OUT_OF_MEMORY.search(str(exc)) is not None


def map_error(exc: BaseException, otherwise: type[ModelError], subject: str) -> LipsyncError:
    """Return the error to raise from a runtime's error: OutOfMemory, or ``otherwise``."""
    error = OutOfMemory if is_out_of_memory(exc) else otherwise
    return error(f"{subject}: {_one_line(exc)}")


def _one_line(exc: BaseException) -> str:
    """Return a runtime's message on one line, without its stack of source locations."""
    lines = [line.strip() for line in str(exc).splitlines()]
    message = " ".join(line for line in lines if line and not line.startswith("Exception from"))
    return message[:MAX_MESSAGE_CHARS] or type(exc).__name__
