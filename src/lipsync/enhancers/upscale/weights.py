"""Read an upscaler's tensors from a PyTorch file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import CheckpointMismatch
from lipsync.models.checkpoint import file_errors, read_checkpoint
from lipsync.models.onnx_file import is_onnx

# Weights averaged over the training, which give better results, and the last ones.
AVERAGED_PREFIX, PLAIN_PREFIX = "params_ema.", "params."


def read_tensors(path: Path) -> tuple[str, Mapping[str, NDArray[np.generic]]]:
    """Return the file's format, and its tensors by name as memory-mapped views.

    Raises CheckpointMismatch for ONNX, and errors of ``read_checkpoint``.
    """
    with file_errors(path), path.open("rb") as file:
        head = file.read(2)
    if is_onnx(head):
        raise CheckpointMismatch(f"{path}: ONNX: expected a PyTorch file")
    checkpoint = read_checkpoint(path)
    for prefix in (AVERAGED_PREFIX, PLAIN_PREFIX):
        tensors = {
            name.removeprefix(prefix): tensor for name, tensor in checkpoint.tensors.items() if name.startswith(prefix)
        }
        if tensors:
            return checkpoint.format, tensors
    return checkpoint.format, checkpoint.tensors
