"""RRDBNet, the architecture of ESRGAN and Real-ESRGAN: read a checkpoint and build its ONNX graph.

Wang et al., "ESRGAN: Enhanced super-resolution generative adversarial networks", ECCV workshops 2018; with pixels
folded into channels for a scale of 2 in Wang et al., "Real-ESRGAN", ICCV workshops 2021. Layer sizes are read from the
tensors, which may be named as in BasicSR or as in the first ESRGAN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.enhancers.upscale.weights import read_tensors
from lipsync.errors import CheckpointMismatch
from lipsync.models.checkpoint import as_float32
from lipsync.models.onnx_builder import GraphBuilder
from lipsync.types import Float32

LEAKY_SLOPE, RESIDUAL_SCALE = 0.2, 0.2
COLOURS = 3
SCALES: Final = {3: 4, 12: 2}  # by input channels of the first convolution
KEY_PATTERN: Final = re.compile(r"(^|\.)rdb1\.conv1\.|\.RDB1\.conv1\.")
BLOCK = re.compile(r"body\.(\d+)\.rdb1\.conv1\.weight")
ESRGAN_NAMES: Final = (  # names of the first ESRGAN, and those of BasicSR
    (re.compile(r"model\.0\."), "conv_first."),
    (re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\."), r"body.\1.rdb\2.conv\3."),
    (re.compile(r"model\.1\.sub\.\d+\."), "conv_body."),
    (re.compile(r"model\.3\."), "conv_up1."),
    (re.compile(r"model\.6\."), "conv_up2."),
    (re.compile(r"model\.8\."), "conv_hr."),
    (re.compile(r"model\.10\."), "conv_last."),
)


@dataclass(frozen=True, slots=True)
class RrdbWeights:
    """``scale``: factor by which width and height grow. ``convolutions``: weight and bias by name."""

    scale: int
    blocks: int
    convolutions: Mapping[str, tuple[Float32, Float32]]


def read_rrdbnet(path: Path) -> tuple[str, RrdbWeights]:
    """Return the file's format and weights.

    Raises CheckpointMismatch for another architecture, CheckpointInvalid, and errors of ``read_checkpoint``.
    """
    file_format, tensors = read_tensors(path)
    tensors = {_basicsr_name(name): tensor for name, tensor in tensors.items()}
    first, dense = tensors.get("conv_first.weight"), tensors.get("body.0.rdb1.conv1.weight")
    if first is None or dense is None or first.ndim != 4 or dense.ndim != 4 or first.shape[1] not in SCALES:
        raise CheckpointMismatch(f"{path}: not RRDBNet with a scale of 2 or 4")
    features, growth = first.shape[0], dense.shape[0]
    blocks = 1 + max(int(match[1]) for name in tensors if (match := BLOCK.fullmatch(name)))
    convolutions = dict(_convolutions(path, tensors, first.shape[1], features, growth, blocks))
    if unknown := sorted({name.rpartition(".")[0] for name in tensors} - set(convolutions)):
        raise CheckpointMismatch(f"{path}: not a plain RRDBNet: unknown layer {unknown[0]}")
    return file_format, RrdbWeights(SCALES[first.shape[1]], blocks, convolutions)


def rrdbnet_graph(weights: RrdbWeights, half: bool = False) -> bytes:
    """Build the graph: ``image`` (n, 3, h, w), RGB in 0..1, to ``enlarged`` (n, 3, scale h, scale w).

    For a scale of 2, h and w are even. ``half``: float16 throughout, including input and output. Raises ExtraMissing
    without the onnx package.
    """
    graph = _RrdbGraph(weights, half)
    source = "image" if weights.scale == 4 else graph.node("SpaceToDepth", "image", blocksize=2)
    first = hidden = graph.convolution(source, "conv_first")
    for block in range(weights.blocks):
        hidden = graph.block(hidden, f"body.{block}")
    hidden = graph.node("Add", first, graph.convolution(hidden, "conv_body"))
    for up in ("conv_up1", "conv_up2"):
        hidden = graph.leaky(graph.convolution(graph.upsample_nearest(hidden, (2, 2)), up))
    hidden = graph.leaky(graph.convolution(hidden, "conv_hr"))
    graph.convolution(hidden, "conv_last", out="enlarged")
    return graph.build("rrdbnet", {"image": (COLOURS, "h", "w")}, {"enlarged": (COLOURS, "H", "W")})


class _RrdbGraph(GraphBuilder):
    """A builder that knows convolutions by name."""

    def __init__(self, weights: RrdbWeights, half: bool) -> None:
        super().__init__(half)
        self._weights = weights
        self._residual_scale = self.constant(np.array(RESIDUAL_SCALE, np.float32))

    def convolution(self, source: str, name: str, out: str = "") -> str:
        constants = (self.constant(value) for value in self._weights.convolutions[name])
        return self.node("Conv", source, *constants, out=out, pads=[1] * 4)

    def leaky(self, source: str) -> str:
        return self.node("LeakyRelu", source, alpha=LEAKY_SLOPE)

    def block(self, source: str, name: str) -> str:
        """Add three dense blocks in sequence, with a scaled residual connection around them."""
        hidden = source
        for k in (1, 2, 3):
            hidden = self._dense(hidden, f"{name}.rdb{k}")
        return self._add_residual(source, hidden)

    def _dense(self, source: str, name: str) -> str:
        """Add five densely connected convolutions, with a scaled residual connection around them."""
        features = [source]
        for k in (1, 2, 3, 4, 5):
            joined = source if k == 1 else self.node("Concat", *features, axis=1)
            output = self.convolution(joined, f"{name}.conv{k}")
            features.append(output if k == 5 else self.leaky(output))
        return self._add_residual(source, features[-1])

    def _add_residual(self, source: str, hidden: str) -> str:
        return self.node("Add", source, self.node("Mul", hidden, self._residual_scale))


def _basicsr_name(name: str) -> str:
    for pattern, replacement in ESRGAN_NAMES:
        if pattern.match(name):
            return pattern.sub(replacement, name, count=1)
    return name


def _convolutions(
    path: Path, tensors: Mapping[str, NDArray[np.generic]], channels: int, features: int, growth: int, blocks: int
) -> Iterator[tuple[str, tuple[Float32, Float32]]]:
    """Yield name, weight and bias of every convolution; check their shapes."""
    for name, inputs, outputs in _layout(channels, features, growth, blocks):
        if f"{name}.weight" not in tensors or f"{name}.bias" not in tensors:
            raise CheckpointMismatch(f"{path}: unknown architecture: {name} is missing")
        weight = as_float32(path, f"{name}.weight", tensors[f"{name}.weight"], (outputs, inputs, 3, 3))
        bias = as_float32(path, f"{name}.bias", tensors[f"{name}.bias"], (outputs,))
        if name == "conv_first" and channels != COLOURS:
            # PyTorch folds pixels into channels colour by colour, ONNX pixel by pixel.
            weight = weight.reshape(outputs, COLOURS, -1, 3, 3).swapaxes(1, 2).reshape(weight.shape)
        yield name, (weight, bias)


def _layout(channels: int, features: int, growth: int, blocks: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, input channels and output channels of every convolution."""
    yield "conv_first", channels, features
    for block in range(blocks):
        for dense in (1, 2, 3):
            for k in range(5):
                outputs = features if k == 4 else growth
                yield f"body.{block}.rdb{dense}.conv{k + 1}", features + k * growth, outputs
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        yield name, features, features
    yield "conv_last", features, COLOURS
