"""Convert Wav2Lip checkpoints to the ONNX graphs that the engine runs.

A checkpoint may be a PyTorch file (zip, legacy or TorchScript) or an ONNX export. The format is detected from the
content; only numbers are read, and no code in the file is executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from lipsync.engines.wav2lip.architecture import (
    MEL_BANDS,
    MEL_COLUMNS,
    SIDE,
    Folded,
    decoder_graph,
    encoder_graph,
    expected_weights,
    fold,
)
from lipsync.engines.wav2lip.onnx_source import read_onnx
from lipsync.errors import CheckpointInvalid
from lipsync.models.checkpoint import file_errors, read_checkpoint
from lipsync.models.conversion import Converter
from lipsync.models.devices import open_session
from lipsync.models.finite import check_finite
from lipsync.models.onnx_file import FORMAT, is_onnx
from lipsync.types import Float32

ENCODER, DECODER, ENCODER_HALF, DECODER_HALF = "encoder.onnx", "decoder.onnx", "encoder-half.onnx", "decoder-half.onnx"
GRAPHS: Final[Mapping[str, tuple[Callable[[Folded, bool], bytes], bool]]] = MappingProxyType(
    {
        ENCODER: (encoder_graph, False),
        DECODER: (decoder_graph, False),
        ENCODER_HALF: (encoder_graph, True),
        DECODER_HALF: (decoder_graph, True),
    }
)
KEY_PATTERN: Final = re.compile(r"face_(en|de)coder_blocks\.\d|^audio_encoder\.\d")
SMOKE_BATCH: Final = 2
MIN_CONTRAST: Final = 1e-3  # of 0..1: an image with a smaller range in every channel is uniform
MAX_HALF_ERROR: Final = 0.5 / 255  # mean difference between single and half precision


def read_weights(path: Path) -> tuple[str, Folded]:
    """The name of a checkpoint's format, and its weights with the batch normalisation folded in.

    Raises what ``read_checkpoint``, ``Checkpoint.fit``, ``fold`` and ``read_onnx`` raise.
    """
    with file_errors(path):
        with path.open("rb") as file:
            head = file.read(2)
        if is_onnx(head):
            return FORMAT, read_onnx(path)
    checkpoint = read_checkpoint(path)
    return checkpoint.format, fold(checkpoint.fit(expected_weights()))


def smoke_test(folder: Path) -> None:
    """Run the converted graphs once on noise.

    Raises CheckpointInvalid if the output is not an image, or if half precision gives a different one.
    """
    image = _generate(folder / ENCODER, folder / DECODER)
    if image.shape != (SMOKE_BATCH, 3, SIDE, SIDE):
        raise CheckpointInvalid(f"the converted model produced shape {image.shape}")
    check_finite(image, CheckpointInvalid, "the converted model produced")
    if image.min() < 0 or image.max() > 1 or np.ptp(image, axis=(2, 3)).max() < MIN_CONTRAST:
        raise CheckpointInvalid("the converted model produced a uniform image")
    half = _generate(folder / ENCODER_HALF, folder / DECODER_HALF)
    if not np.isfinite(half).all() or np.abs(half - image).mean() > MAX_HALF_ERROR:
        raise CheckpointInvalid("the converted model produced a different image in half precision")


def _generate(encoder: Path, decoder: Path) -> Float32:
    """Images (2, 3, 96, 96) for random inputs, with one graph in memory at a time."""
    rng = np.random.default_rng(0)
    face = rng.random((SMOKE_BATCH, 6, SIDE, SIDE), np.float32)
    mel = rng.uniform(-4, 4, (SMOKE_BATCH, 1, MEL_BANDS, MEL_COLUMNS)).astype(np.float32)
    skips = open_session(encoder, shapes={"face": face.shape}).run([face])
    shapes = {f"skip{k}": skip.shape for k, skip in enumerate(skips)}
    (image,) = open_session(decoder, shapes={"mel": mel.shape, **shapes}).run([mel, *skips])
    return np.asarray(image, np.float32)


def _build_graph(name: str, folded: Folded) -> bytes:
    build, half = GRAPHS[name]
    return build(folded, half)


GENERATOR: Final = Converter(
    "Wav2Lip", "generator", 1, tuple(GRAPHS), read_weights, _build_graph, smoke_test, KEY_PATTERN
)
