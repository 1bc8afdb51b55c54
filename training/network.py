"""The motion head in PyTorch, and its export to ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lipsync.faces import geometry
from lipsync.speech.encoder import FEATURES
from lipsync.speech.motion import WINDOW, Basis
from lipsync.types import Float32

DILATIONS = (1, 2, 4, 8, 1)
LINEAR_REACH = 10  # rows on each side that the linear path sees
HOLD = (1, 2)  # rows after and before a closure that it lasts: between two video frames it would go unseen


@dataclass(frozen=True, slots=True)
class Projection:
    """``axes`` (1024, P) and ``offset`` (P,): encoder rows @ axes + offset have a mean of about 0."""

    axes: Float32
    offset: Float32

    def __call__(self, rows: NDArray[Any]) -> Float32:
        return np.asarray(rows.astype(np.float32) @ self.axes + self.offset, np.float32)


@dataclass(frozen=True, slots=True)
class Lips:
    """How coefficients (K,) open the lips: by ``opening`` @ (coefficients - ``neutral``), in eye distances.

    ``closing`` (K,) is the shortest way, in standard deviations, that changes the opening by 1 and the width by 0.
    """

    opening: Float32
    width: Float32
    neutral: Float32
    closing: Float32

    @classmethod
    def of(cls, basis: Basis) -> Lips:
        shapes = basis.components
        opening = shapes[:, geometry.INNER_BOTTOM, 1] - shapes[:, geometry.INNER_TOP, 1]
        width = shapes[:, geometry.LEFT_CORNER, 0] - shapes[:, geometry.RIGHT_CORNER, 0]
        way = opening - width * (opening @ width) / (width @ width)
        return cls(opening, width, basis.neutral, way / (opening @ way))


class MotionHead(nn.Module):
    """Encoder rows (batch, n, 1024) to motion (batch, n, K + 1): K coefficients, and how surely the lips close, 0..1.

    The rows are first projected onto a few fixed axes. A linear path with some context and residual dilated
    convolutions (Bai, Kolter and Koltun, arXiv:1803.01271, 2018) add up to coefficients and the logit of a closure,
    which then moves the coefficients towards closed lips.
    """

    axes: Tensor
    offset: Tensor
    opening: Tensor
    neutral: Tensor
    closing: Tensor

    def __init__(self, projection: Projection, lips: Lips, width: int = 128, drop: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("axes", torch.from_numpy(projection.axes))
        self.register_buffer("offset", torch.from_numpy(projection.offset))
        for name in ("opening", "neutral", "closing"):
            self.register_buffer(name, torch.from_numpy(getattr(lips, name)))
        inputs, outputs = projection.axes.shape[1], len(lips.opening) + 1
        self.linear = nn.Conv1d(inputs, outputs, 2 * LINEAR_REACH + 1, padding=LINEAR_REACH)
        self.front = nn.Conv1d(inputs, width, 5, padding=2)
        self.blocks = nn.ModuleList(_block(width, dilation, drop) for dilation in DILATIONS)
        self.out = nn.Conv1d(width, outputs, 1)
        nn.init.zeros_(self.linear.weight)

    def forward(self, features: Tensor) -> Tensor:
        rows, logit = self.follow(features @ self.axes + self.offset, hold=True)
        return torch.cat([rows, torch.sigmoid(logit)[..., None]], 2)

    def follow(self, projected: Tensor, hold: bool = False) -> tuple[Tensor, Tensor]:
        """Coefficients (batch, n, K) and the logit of a closure (batch, n) from projected rows (batch, n, P).

        With ``hold``, which training does without, closures last longer.
        """
        rows = projected.transpose(1, 2)
        hidden = self.front(rows)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        result = (self.linear(rows) + self.out(nn.functional.gelu(hidden))).transpose(1, 2)
        motion, logit = result[..., :-1], result[..., -1]
        if hold:
            held = nn.functional.pad(logit[:, None], HOLD, value=-torch.inf)
            logit = nn.functional.max_pool1d(held, 1 + sum(HOLD), 1)[:, 0]
        gap = ((motion - self.neutral) @ self.opening).clamp(min=0)
        return motion - (torch.sigmoid(logit) * gap)[..., None] * self.closing, logit


def _block(width: int, dilation: int, drop: float) -> nn.Sequential:
    return nn.Sequential(
        nn.GELU(), nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm1d(width),
        nn.GELU(), nn.Dropout(drop), nn.Conv1d(width, width, 1),
    )  # fmt: skip


def to_onnx(head: MotionHead, rows: int = WINDOW) -> onnx.ModelProto:
    """Export for a fixed number of rows, with folded batch normalisation and weights in half precision."""
    head.eval()
    graph = _GraphBuilder()
    projected = graph.node("MatMul", "features", graph.constant(head.axes.numpy()))
    projected = graph.node("Add", projected, graph.constant(head.offset.numpy()))
    projected = graph.node("Transpose", projected, perm=[0, 2, 1])
    hidden = graph.conv(projected, *_plain(head.front), pads=[2, 2])
    for block in head.blocks:
        hidden = _add_block(graph, hidden, block)
    straight = graph.conv(projected, *_plain(head.linear), pads=[LINEAR_REACH, LINEAR_REACH])
    bent = graph.conv(graph.node("Gelu", hidden), *_plain(head.out))
    _close(graph, graph.node("Transpose", graph.node("Add", straight, bent), perm=[0, 2, 1]), head)
    return graph.model(rows, int(head.out.weight.shape[0]))


def _close(graph: _GraphBuilder, result: str, head: MotionHead) -> None:
    count = len(head.neutral)
    motion, logit = graph.split(result, [count, 1])
    held = graph.node("Transpose", logit, perm=[0, 2, 1])
    held = graph.node("MaxPool", held, kernel_shape=[1 + sum(HOLD)], pads=list(HOLD))
    certainty = graph.node("Sigmoid", graph.node("Transpose", held, perm=[0, 2, 1]))
    apart = graph.node("Sub", motion, graph.constant(head.neutral.numpy()))
    gap = graph.node("Relu", graph.node("MatMul", apart, graph.constant(head.opening.numpy()[:, None])))
    change = graph.node("Mul", graph.node("Mul", certainty, gap), graph.constant(head.closing.numpy()))
    graph.node("Concat", graph.node("Sub", motion, change), certainty, out="motion", axis=2)


def _add_block(graph: _GraphBuilder, hidden: str, block: Any) -> str:
    dilation = block[1].dilation[0]
    inner = graph.conv(
        graph.node("Gelu", hidden), *_folded(block[1], block[2]), pads=[dilation, dilation], dilations=[dilation]
    )
    return graph.node("Add", hidden, graph.conv(graph.node("Gelu", inner), *_plain(block[5])))


class _GraphBuilder:
    """Builds an ONNX graph node by node, with generated names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, source: str, lengths: list[int]) -> list[str]:
        names = [f"part{len(self.nodes)}_{number}" for number in range(len(lengths))]
        sizes = f"sizes{len(self.nodes)}"
        self.weights.append(numpy_helper.from_array(np.array(lengths), sizes))
        self.nodes.append(helper.make_node("Split", [source, sizes], names, axis=2))
        return names

    def constant(self, value: NDArray[Any]) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value.astype(np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def conv(self, source: str, weight: NDArray[Any], bias: NDArray[Any], **attributes: Any) -> str:
        return self.node("Conv", source, self.constant(weight), self.constant(bias), **attributes)

    def model(self, rows: int, outputs: int) -> onnx.ModelProto:
        input_info = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, rows, FEATURES])
        output_info = helper.make_tensor_value_info("motion", TensorProto.FLOAT, [1, rows, outputs])
        graph = helper.make_graph(self.nodes, "motion", [input_info], [output_info], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model)
        return model


def _folded(conv: Any, norm: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
    bias = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
    return conv.weight.detach().numpy() * scale[:, None, None], bias


def _plain(conv: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return conv.weight.detach().numpy(), conv.bias.detach().numpy()
