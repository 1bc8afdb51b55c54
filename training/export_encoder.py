"""Build encoder.onnx from Whisper base's first blocks.

    python training/export_encoder.py WHISPER.xml OUT.onnx [--blocks 2 3]

WHISPER.xml is an OpenVINO model of the encoder's first blocks, with its .bin file beside it. The result computes the
same for windows of ``lipsync.speech.encoder``: the scales and shifts of its layer norms and the scale of its attention
are folded into the weights, which are stored in half precision.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lipsync.models.openvino_session import shared_core
from lipsync.speech.encoder import STEP, WINDOW
from lipsync.speech.logmel import BANDS
from lipsync.types import Float32

WIDTH, HEADS = 512, 8


@dataclass(frozen=True, slots=True)
class Block:
    """A transformer block: weights (out, in) and biases, with the layer norms folded into them."""

    query_key_value: tuple[Float32, Float32]
    attended: tuple[Float32, Float32]
    expand: tuple[Float32, Float32]
    contract: tuple[Float32, Float32]


@dataclass(frozen=True, slots=True)
class Whisper:
    """``stem``: weights and biases of the two convolutions. ``positions`` (n, 512)."""

    stem: tuple[tuple[Float32, Float32], tuple[Float32, Float32]]
    positions: Float32
    blocks: list[Block]


def read(path: Path) -> Whisper:
    """Read the weights from the constants of an OpenVINO model, which are numbered in the order of their use."""
    operations = shared_core().read_model(path).get_ordered_ops()
    named = {
        operation.get_friendly_name(): np.asarray(operation.data, np.float32)
        for operation in operations
        if operation.get_type_name() == "Constant" and operation.get_element_type().get_type_name() == "f16"
    }
    kernels = [value for name, value in sorted(named.items()) if "/conv" in name or "__conv" in name]
    shifts = [value.ravel() for value in _numbered(named, "Reshape_")]
    vectors = [value.ravel() for value in _numbered(named, "Constant_") if value.size > 1]
    matrices = _numbered(named, "Transpose_")
    blocks = [_block(vectors[1 + 8 * i : 9 + 8 * i], matrices[4 * i : 4 * i + 4]) for i in range(len(matrices) // 4)]
    first, second = zip(kernels, shifts, strict=True)
    return Whisper((first, second), vectors[0].reshape(-1, WIDTH), blocks)


def _numbered(named: dict[str, Float32], prefix: str) -> list[Float32]:
    numbers = {int(found[1]): value for name, value in named.items() if (found := re.match(rf"{prefix}(\d+)_", name))}
    return [value for _, value in sorted(numbers.items())]


def _block(vectors: list[Float32], matrices: list[Float32]) -> Block:
    scale, shift, qkv_bias, attended_bias, scale2, shift2, expand_bias, contract_bias = vectors
    qkv, attended, expand, contract = matrices
    queries = np.ones((len(qkv), 1), np.float32)
    queries[:WIDTH] = (WIDTH // HEADS) ** -0.5
    return Block(
        (qkv * scale * queries, (qkv_bias + qkv @ shift) * queries[:, 0]),
        (attended, attended_bias),
        (expand * scale2, expand_bias + expand @ shift2),
        (contract, contract_bias),
    )


class _Graph:
    """Builds an ONNX graph node by node, with generated names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, source: str, parts: int) -> list[str]:
        names = [f"split{len(self.nodes)}_{part}" for part in range(parts)]
        self.nodes.append(helper.make_node("Split", [source], names, axis=2, num_outputs=parts))
        return names

    def weight(self, value: Float32) -> str:
        return self.node("Cast", self.constant(value.astype(np.float16)), to=TensorProto.FLOAT)

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def linear(self, source: str, layer: tuple[Float32, Float32]) -> str:
        weight, bias = layer
        return self.node("Add", self.node("MatMul", source, self.weight(weight.T)), self.weight(bias))

    def norm(self, source: str) -> str:
        ones = self.constant(np.ones(WIDTH, np.float32))
        return self.node("LayerNormalization", source, ones, axis=-1, epsilon=1e-5)


def to_onnx(whisper: Whisper, chosen: list[int], rows: int = WINDOW) -> onnx.ModelProto:
    """The encoder up to the last of the ``chosen`` blocks (1 is the first), whose outputs it concatenates."""
    graph = _Graph()
    hidden = "log_mel"
    for (weight, bias), stride in zip(whisper.stem, (1, STEP), strict=True):
        moved = graph.node("Conv", hidden, graph.weight(weight), graph.weight(bias), pads=[1, 1], strides=[stride])
        hidden = graph.node("Gelu", moved)
    hidden = graph.node("Transpose", hidden, perm=[0, 2, 1])
    hidden = graph.node("Add", hidden, graph.weight(whisper.positions[:rows]))
    outputs = []
    for number, block in enumerate(whisper.blocks[: max(chosen)], 1):
        hidden = _add_block(graph, hidden, block, rows)
        outputs += [hidden] if number in chosen else []
    graph.node("Concat", *outputs, out="features", axis=2)
    inputs = [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, [1, BANDS, STEP * rows])]
    output = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, rows, WIDTH * len(chosen)])]
    built = helper.make_graph(graph.nodes, "whisper", inputs, output, graph.constants)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _add_block(graph: _Graph, hidden: str, block: Block, rows: int) -> str:
    heads = graph.constant(np.array([1, rows, HEADS, WIDTH // HEADS]))
    joint = graph.constant(np.array([1, rows, WIDTH]))
    joined = graph.linear(graph.norm(hidden), block.query_key_value)
    queries, keys, values = (
        graph.node("Transpose", graph.node("Reshape", part, heads), perm=order)
        for part, order in zip(graph.split(joined, 3), ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
    )
    attention = graph.node("Softmax", graph.node("MatMul", queries, keys), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", attention, values), perm=[0, 2, 1, 3])
    mixed = graph.node("Reshape", mixed, joint)
    hidden = graph.node("Add", hidden, graph.linear(mixed, block.attended))
    inner = graph.node("Gelu", graph.linear(graph.norm(hidden), block.expand))
    return graph.node("Add", hidden, graph.linear(inner, block.contract))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("whisper", type=Path, help="OpenVINO model (.xml)")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 3], help="blocks to output (default: 2 3)")
    args = parser.parse_args()
    onnx.save(to_onnx(read(args.whisper), args.blocks), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
