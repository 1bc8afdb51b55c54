"""SRVGGNetCompact, the small network of Real-ESRGAN, as an ONNX graph, from the tensors of a checkpoint.

A chain of convolutions at the picture's own size, whose last gives the squares of the larger picture; what it adds to
the picture with its pixels made larger. Published with Wang et al., "Real-ESRGAN: Training real-world blind
super-resolution with pure synthetic data", ICCV workshops 2021.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipsync.enhancers.upscale.weights import finite, read_tensors
from lipsync.errors import CheckpointMismatch
from lipsync.models.onnx_builder import Graph
from lipsync.types import Float32

COLOURS = 3
MARK = re.compile(r"(^|\.)body\.\d+\.(weight|bias)$")
LAYER = re.compile(r"body\.(0|[1-9][0-9]*)\.weight")
FACTORS = (2, 4)


@dataclass(frozen=True, slots=True)
class SrvggLayer:
    """A convolution and the slopes (n, 1, 1) of what is negative after it; None after the last."""

    weight: Float32
    bias: Float32
    slopes: Float32 | None


@dataclass(frozen=True, slots=True)
class SrvggWeights:
    """``factor``: how many times larger it makes pictures."""

    factor: int
    layers: tuple[SrvggLayer, ...]


def read_srvgg(path: Path) -> tuple[str, SrvggWeights]:
    """The form in which the file was written, and what is in it.

    Raises what ``read_checkpoint`` raises, CheckpointMismatch if it is another network, CheckpointInvalid.
    """
    form, tensors = read_tensors(path)
    numbers = sorted(int(found[1]) for name in tensors if (found := LAYER.fullmatch(name)))
    if not numbers or numbers != list(range(len(numbers))) or len(numbers) % 2 == 0 or len(numbers) < 3:
        raise CheckpointMismatch(f"{path}: the weights of another network, not of SRVGGNetCompact")
    last = tensors[f"body.{numbers[-1]}.weight"]
    factor = round((last.shape[0] / COLOURS) ** 0.5) if last.ndim == 4 else 0
    if factor not in FACTORS or last.shape[0] != COLOURS * factor**2:
        raise CheckpointMismatch(f"{path}: the weights of a network that does not make pictures 2 or 4 times larger")
    return form, SrvggWeights(factor, tuple(_layers(path, tensors, len(numbers))))


def srvgg_graph(weights: SrvggWeights, half: bool = False) -> bytes:
    """``picture`` (n, 3, h, w), RGB in 0..1, to ``larger`` (n, 3, factor h, factor w).

    ``half``: computed in half precision, input and output too. Raises ExtraMissing without onnx.
    """
    graph = Graph(half)
    hidden = "picture"
    for layer in weights.layers:
        hidden = graph.node("Conv", hidden, graph.constant(layer.weight), graph.constant(layer.bias), pads=[1] * 4)
        if layer.slopes is not None:
            hidden = graph.node("PRelu", hidden, graph.constant(layer.slopes))
    added = graph.node("DepthToSpace", hidden, blocksize=weights.factor, mode="CRD")
    graph.node("Add", added, graph.enlarged("picture", weights.factor), out="larger")
    return graph.model("srvgg", {"picture": (COLOURS, "h", "w")}, {"larger": (COLOURS, "H", "W")})


def _layers(path: Path, tensors: Mapping[str, NDArray[np.generic]], count: int) -> list[SrvggLayer]:
    """Convolutions at even numbers, slopes between them."""
    layers, inputs = [], COLOURS
    for number in range(0, count, 2):
        bias = tensors.get(f"body.{number}.bias")
        if bias is None or bias.ndim != 1:
            raise CheckpointMismatch(f"{path}: the weights of another network; body.{number}.bias is missing")
        outputs = bias.shape[0]
        weight = finite(path, f"body.{number}.weight", tensors[f"body.{number}.weight"], (outputs, inputs, 3, 3))
        shift = finite(path, f"body.{number}.bias", bias, (outputs,))
        slopes = None
        if number + 1 < count:
            told = f"body.{number + 1}.weight"
            slopes = finite(path, told, tensors[told], (outputs,)).reshape(outputs, 1, 1)
        layers.append(SrvggLayer(weight, shift, slopes))
        inputs = outputs
    return layers
