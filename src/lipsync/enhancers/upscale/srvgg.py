"""SRVGGNetCompact, the small architecture of Real-ESRGAN: read a checkpoint and build its ONNX graph.

A chain of convolutions at the size of the input; the last one's channels are rearranged into the pixels of the larger
frame and added to the input enlarged by repeating pixels. Wang et al., "Real-ESRGAN: Training real-world blind
super-resolution with pure synthetic data", ICCV workshops 2021.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipsync.enhancers.upscale.weights import read_tensors
from lipsync.errors import CheckpointMismatch
from lipsync.models.checkpoint import as_float32
from lipsync.models.onnx_builder import GraphBuilder
from lipsync.types import Float32

COLOURS = 3
KEY_PATTERN = re.compile(r"(^|\.)body\.\d+\.(weight|bias)$")
LAYER = re.compile(r"body\.(0|[1-9][0-9]*)\.weight")
SCALES = (2, 4)


@dataclass(frozen=True, slots=True)
class SrvggLayer:
    """A convolution and the slopes (n, 1, 1) of the PReLU after it; None after the last."""

    weight: Float32
    bias: Float32
    slopes: Float32 | None


@dataclass(frozen=True, slots=True)
class SrvggWeights:
    """``scale``: factor by which width and height grow."""

    scale: int
    layers: tuple[SrvggLayer, ...]


def read_srvgg(path: Path) -> tuple[str, SrvggWeights]:
    """Return the file's format and weights.

    Raises CheckpointMismatch for another architecture, CheckpointInvalid, and errors of ``read_checkpoint``.
    """
    file_format, tensors = read_tensors(path)
    numbers = sorted(int(match[1]) for name in tensors if (match := LAYER.fullmatch(name)))
    if not numbers or numbers != list(range(len(numbers))) or len(numbers) % 2 == 0 or len(numbers) < 3:
        raise CheckpointMismatch(f"{path}: not SRVGGNetCompact")
    last = tensors[f"body.{numbers[-1]}.weight"]
    scale = round((last.shape[0] / COLOURS) ** 0.5) if last.ndim == 4 else 0
    if scale not in SCALES or last.shape[0] != COLOURS * scale**2:
        raise CheckpointMismatch(f"{path}: SRVGGNetCompact with an unsupported scale: expected 2 or 4")
    return file_format, SrvggWeights(scale, tuple(_layers(path, tensors, len(numbers))))


def srvgg_graph(weights: SrvggWeights, half: bool = False) -> bytes:
    """Build the graph: ``image`` (n, 3, h, w), RGB in 0..1, to ``enlarged`` (n, 3, scale h, scale w).

    ``half``: float16 throughout, including input and output. Raises ExtraMissing without the onnx package.
    """
    graph = GraphBuilder(half)
    hidden = "image"
    for layer in weights.layers:
        hidden = graph.node("Conv", hidden, graph.constant(layer.weight), graph.constant(layer.bias), pads=[1] * 4)
        if layer.slopes is not None:
            hidden = graph.node("PRelu", hidden, graph.constant(layer.slopes))
    residual = graph.node("DepthToSpace", hidden, blocksize=weights.scale, mode="CRD")
    graph.node("Add", residual, graph.upsample_nearest("image", (weights.scale, weights.scale)), out="enlarged")
    return graph.build("srvgg", {"image": (COLOURS, "h", "w")}, {"enlarged": (COLOURS, "H", "W")})


def _layers(path: Path, tensors: Mapping[str, NDArray[np.generic]], count: int) -> list[SrvggLayer]:
    """Read the convolutions at even numbers and the slopes at odd ones."""
    layers, inputs = [], COLOURS
    for number in range(0, count, 2):
        bias = tensors.get(f"body.{number}.bias")
        if bias is None or bias.ndim != 1:
            raise CheckpointMismatch(f"{path}: unknown architecture: body.{number}.bias is missing")
        outputs = bias.shape[0]
        weight = as_float32(path, f"body.{number}.weight", tensors[f"body.{number}.weight"], (outputs, inputs, 3, 3))
        slopes = None
        if number + 1 < count:
            name = f"body.{number + 1}.weight"
            slopes = as_float32(path, name, tensors[name], (outputs,)).reshape(outputs, 1, 1)
        layers.append(SrvggLayer(weight, as_float32(path, f"body.{number}.bias", bias, (outputs,)), slopes))
        inputs = outputs
    return layers
