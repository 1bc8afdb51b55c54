"""Out of memory, told from every other failure of a foreign runtime.

The runtimes say it in words alone, each in its own. The patterns are what their sources and their users' reports show,
no looser: a batch is halved and tried again on this word, which hides any other failure that is taken for it.
"""

from __future__ import annotations

import re
from typing import Final

from lipsync.errors import LipsyncError, ModelError, OutOfMemory

LONGEST: Final = 400  # characters of a runtime's message that are passed on
_SAID_BY: Final = (
    # C++: GCC, Clang, then Microsoft's
    r"\bstd::bad_alloc\b",
    r"\bbad allocation\b",
    # OpenVINO: its CPU plugin, then its core
    r"\bFailed to allocate \d+ bytes of memory\b",
    r"\bCould not allocate memory\b",
    r"\bnode with name '[^']*' can't alloc\b",
    r"\bFailed to allocate memory\s*$",
    # ONNX Runtime's arena, on every device: nothing left, then the arena's own limit
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
    # DirectML: Windows' number, which stays when the words are translated
    r"\b(?:0x)?8007000E\b",
    # Metal, below CoreML
    r"\bkIOGPUCommandBufferCallbackErrorOutOfMemory\b",
    r"\bInsufficient Memory \(IOAF code 8\)",
)
_OUT_OF_MEMORY: Final = re.compile("|".join(_SAID_BY), re.IGNORECASE)


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an error of a runtime means that memory, the machine's or the device's, ran out."""
    return isinstance(exc, MemoryError | OutOfMemory) or _OUT_OF_MEMORY.search(str(exc)) is not None


def failure(exc: BaseException, otherwise: type[ModelError], what: str) -> LipsyncError:
    """A runtime's error as one of ours, to be raised from it: OutOfMemory, or ``otherwise``."""
    error = OutOfMemory if is_out_of_memory(exc) else otherwise
    return error(f"{what}: {_told(exc)}")


def _told(exc: BaseException) -> str:
    """A runtime's message on one line, without the way that it took through the runtime."""
    lines = [line.strip() for line in str(exc).splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith("Exception from"))
    return told[:LONGEST] or type(exc).__name__
