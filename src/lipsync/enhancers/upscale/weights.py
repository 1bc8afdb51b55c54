"""An upscaler's weights out of a file of any known form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import CheckpointInvalid, CheckpointMismatch
from lipsync.models.checkpoint import file_errors, read_checkpoint
from lipsync.models.onnx_file import looks_like_onnx
from lipsync.types import Float32

AVERAGED, PLAIN = "params_ema.", "params."  # the same weights averaged over the training, which are better, and not


def read_tensors(path: Path) -> tuple[str, Mapping[str, NDArray[np.generic]]]:
    """The form in which the file was written, and its tensors by name, views into the file.

    Raises what ``read_checkpoint`` raises, and CheckpointMismatch for ONNX.
    """
    with file_errors(path), path.open("rb") as file:
        head = file.read(2)
    if looks_like_onnx(head):
        raise CheckpointMismatch(f"{path}: ONNX, where a file of PyTorch is wanted")
    checkpoint = read_checkpoint(path)
    for prefix in (AVERAGED, PLAIN):
        found = {name.removeprefix(prefix): it for name, it in checkpoint.tensors.items() if name.startswith(prefix)}
        if found:
            return checkpoint.form, found
    return checkpoint.form, checkpoint.tensors


def finite(path: Path, name: str, tensor: NDArray[np.generic], shape: tuple[int, ...]) -> Float32:
    """The tensor as float32. Raises CheckpointMismatch for another shape, CheckpointInvalid for what is no number."""
    if tensor.shape != shape:
        raise CheckpointMismatch(f"{path}: {name} has the shape {tensor.shape} instead of {shape}")
    with np.errstate(over="ignore"):
        value = np.asarray(tensor, np.float32)
    if not np.isfinite(value).all():
        raise CheckpointInvalid(f"{path}: {name} holds values that are no numbers")
    return value
