"""RRDBNet, the network of ESRGAN and Real-ESRGAN, as an ONNX graph, from the tensors of a checkpoint.

Wang et al., "ESRGAN: Enhanced super-resolution generative adversarial networks", ECCV workshops 2018; made to take a
picture's pixels by fours for a factor of two in Wang et al., "Real-ESRGAN", ICCV workshops 2021. Sizes are read from
the tensors. Two ways of naming them are known: that of BasicSR and that of the first ESRGAN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.enhancers.upscale.weights import finite, read_tensors
from lipsync.errors import CheckpointMismatch
from lipsync.models.onnx_builder import Graph
from lipsync.types import Float32

SLOPE, SHARE = 0.2, 0.2  # of what is negative; of a block in its sum
COLOURS = 3
FACTORS: Final = {3: 4, 12: 2}  # by how many values of the picture the first convolution takes
MARK: Final = re.compile(r"(^|\.)rdb1\.conv1\.|\.RDB1\.conv1\.")
BLOCK = re.compile(r"body\.(\d+)\.rdb1\.conv1\.weight")
EARLIER: Final = (  # names of the first ESRGAN, and what they became
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
    """``factor``: how many times larger it makes pictures; ``convolutions``: weight and bias by name."""

    factor: int
    blocks: int
    convolutions: Mapping[str, tuple[Float32, Float32]]


def read_rrdbnet(path: Path) -> tuple[str, RrdbWeights]:
    """The form in which the file was written, and what is in it.

    Raises what ``read_checkpoint`` raises, CheckpointMismatch if it is another network, CheckpointInvalid.
    """
    form, tensors = read_tensors(path)
    tensors = {_renamed(name): tensor for name, tensor in tensors.items()}
    first, dense = tensors.get("conv_first.weight"), tensors.get("body.0.rdb1.conv1.weight")
    if first is None or dense is None or first.ndim != 4 or dense.ndim != 4 or first.shape[1] not in FACTORS:
        raise CheckpointMismatch(f"{path}: the weights of another network, not of RRDBNet for 2 or 4 times")
    features, growth = first.shape[0], dense.shape[0]
    blocks = 1 + max(int(match[1]) for name in tensors if (match := BLOCK.fullmatch(name)))
    found = dict(_convolutions(path, tensors, first.shape[1], features, growth, blocks))
    if strangers := sorted({name.rpartition(".")[0] for name in tensors} - set(found)):
        raise CheckpointMismatch(f"{path}: not a plain RRDBNet; it has {strangers[0]} as well")
    return form, RrdbWeights(FACTORS[first.shape[1]], blocks, found)


def rrdbnet_graph(weights: RrdbWeights, half: bool = False) -> bytes:
    """``picture`` (n, 3, h, w), RGB in 0..1, to ``larger`` (n, 3, factor h, factor w); h and w even for a factor of 2.

    ``half``: computed in half precision, input and output too. Raises ExtraMissing without onnx.
    """
    net = _Net(weights, half)
    source = "picture" if weights.factor == 4 else net.node("SpaceToDepth", "picture", blocksize=2)
    first = hidden = net.convolution(source, "conv_first")
    for block in range(weights.blocks):
        hidden = net.block(hidden, f"body.{block}")
    hidden = net.node("Add", first, net.convolution(hidden, "conv_body"))
    for up in ("conv_up1", "conv_up2"):
        hidden = net.leaky(net.convolution(net.enlarged(hidden, 2), up))
    hidden = net.leaky(net.convolution(hidden, "conv_hr"))
    net.convolution(hidden, "conv_last", out="larger")
    return net.model("rrdbnet", {"picture": (COLOURS, "h", "w")}, {"larger": (COLOURS, "H", "W")})


class _Net(Graph):
    """The graph, of convolutions by name."""

    def __init__(self, weights: RrdbWeights, half: bool) -> None:
        super().__init__(half)
        self._weights = weights
        self._share = self.constant(np.array(SHARE, np.float32))

    def convolution(self, source: str, name: str, out: str = "") -> str:
        constants = (self.constant(value) for value in self._weights.convolutions[name])
        return self.node("Conv", source, *constants, out=out, pads=[1] * 4)

    def leaky(self, source: str) -> str:
        return self.node("LeakyRelu", source, alpha=SLOPE)

    def block(self, source: str, name: str) -> str:
        """Three dense blocks one after the other; a share of them is added to what came in."""
        hidden = source
        for k in (1, 2, 3):
            hidden = self._dense(hidden, f"{name}.rdb{k}")
        return self._added(source, hidden)

    def _dense(self, source: str, name: str) -> str:
        """Five convolutions, each of everything before it; a share of the last is added to what came in."""
        known = [source]
        for k in (1, 2, 3, 4, 5):
            seen = known[0] if k == 1 else self.node("Concat", *known, axis=1)
            found = self.convolution(seen, f"{name}.conv{k}")
            known.append(found if k == 5 else self.leaky(found))
        return self._added(source, known[-1])

    def _added(self, source: str, hidden: str) -> str:
        return self.node("Add", source, self.node("Mul", hidden, self._share))


def _renamed(name: str) -> str:
    for pattern, now in EARLIER:
        if pattern.match(name):
            return pattern.sub(now, name, count=1)
    return name


def _convolutions(
    path: Path, tensors: Mapping[str, NDArray[np.generic]], taken: int, features: int, growth: int, blocks: int
) -> Iterator[tuple[str, tuple[Float32, Float32]]]:
    """Every convolution's weight and bias, of the shapes that follow from the sizes."""
    for name, inputs, outputs in _layout(taken, features, growth, blocks):
        if f"{name}.weight" not in tensors or f"{name}.bias" not in tensors:
            raise CheckpointMismatch(f"{path}: the weights of another network; {name} is missing")
        weight = finite(path, f"{name}.weight", tensors[f"{name}.weight"], (outputs, inputs, 3, 3))
        bias = finite(path, f"{name}.bias", tensors[f"{name}.bias"], (outputs,))
        if name == "conv_first" and taken != COLOURS:
            # PyTorch takes a square's pixels colour by colour, ONNX pixel by pixel.
            weight = weight.reshape(outputs, COLOURS, -1, 3, 3).swapaxes(1, 2).reshape(weight.shape)
        yield name, (weight, bias)


def _layout(taken: int, features: int, growth: int, blocks: int) -> Iterator[tuple[str, int, int]]:
    """Each convolution's name, and how many values go in and come out."""
    yield "conv_first", taken, features
    for block in range(blocks):
        for dense in (1, 2, 3):
            for k in range(5):
                outputs = features if k == 4 else growth
                yield f"body.{block}.rdb{dense}.conv{k + 1}", features + k * growth, outputs
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        yield name, features, features
    yield "conv_last", features, COLOURS
