"""Wav2Lip's weights out of a file of any known form, told by its content."""

from __future__ import annotations

from pathlib import Path

from lipsync.engines.wav2lip.architecture import Folded, expected_weights, fold
from lipsync.engines.wav2lip.onnx_source import read_onnx
from lipsync.models.checkpoint import file_errors, read_checkpoint
from lipsync.models.onnx_file import FORM, looks_like_onnx


def read_weights(path: Path) -> tuple[str, Folded]:
    """The form in which the file was written, and every convolution's weight and bias.

    Raises what ``read_checkpoint``, ``Checkpoint.fit``, ``fold`` and ``read_onnx`` raise.
    """
    with file_errors(path):
        with path.open("rb") as file:
            head = file.read(2)
        if looks_like_onnx(head):
            return FORM, read_onnx(path)
    checkpoint = read_checkpoint(path)
    return checkpoint.form, fold(checkpoint.fit(expected_weights()))
