"""The motion network in PyTorch, and its export to ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lipsync.speech.features import BANDS
from lipsync.speech.motion import STEP, WINDOW

DILATIONS = (1, 2, 4, 8, 1)


class MotionNet(nn.Module):
    """Feature frames (batch, 4 n, 40) to coefficients (batch, n, K).

    A strided front end is followed by residual dilated convolutions over time, as in temporal convolutional networks
    (Bai, Kolter and Koltun, arXiv:1803.01271, 2018). The receptive field is sum(DILATIONS) + 2 rows on each side.
    """

    def __init__(self, coefficients: int, width: int = 192, drop: float = 0.1) -> None:
        super().__init__()
        self.front = nn.Sequential(
            nn.Conv1d(BANDS, 96, 5, padding=2), nn.BatchNorm1d(96), nn.GELU(),
            nn.Conv1d(96, 144, 4, 2, 1), nn.BatchNorm1d(144), nn.GELU(),
            nn.Conv1d(144, width, 4, 2, 1), nn.BatchNorm1d(width),
        )  # fmt: skip
        self.blocks = nn.ModuleList(_block(width, dilation, drop) for dilation in DILATIONS)
        self.out = nn.Sequential(nn.BatchNorm1d(width), nn.GELU(), nn.Conv1d(width, coefficients, 1))

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.front(features.transpose(1, 2))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        rows: Tensor = self.out(hidden).transpose(1, 2)
        return rows


def _block(width: int, dilation: int, drop: float) -> nn.Sequential:
    return nn.Sequential(
        nn.GELU(), nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm1d(width),
        nn.GELU(), nn.Dropout(drop), nn.Conv1d(width, width, 1),
    )  # fmt: skip


def to_onnx(net: MotionNet, rows: int = WINDOW) -> onnx.ModelProto:
    """Export for a fixed number of rows, with folded batch normalisation and weights in half precision."""
    net.eval()
    graph = _GraphBuilder()
    front: Any = net.front
    hidden = graph.node("Transpose", "features", perm=[0, 2, 1])
    hidden = graph.node("Gelu", graph.conv(hidden, *_folded(front[0], front[1]), pads=[2, 2]))
    hidden = graph.node("Gelu", graph.conv(hidden, *_folded(front[3], front[4]), pads=[1, 1], strides=[2]))
    hidden = graph.conv(hidden, *_folded(front[6], front[7]), pads=[1, 1], strides=[2])
    for block in net.blocks:
        hidden = _add_block(graph, hidden, block)
    out: Any = net.out
    scale, shift = _scale_shift(out[0])
    scaled = graph.node("Mul", hidden, graph.constant(scale[None, :, None]))
    hidden = graph.node("Gelu", graph.node("Add", scaled, graph.constant(shift[None, :, None])))
    graph.node("Transpose", graph.conv(hidden, *_plain(out[2])), out="motion", perm=[0, 2, 1])
    return graph.model(rows, int(out[2].weight.shape[0]))


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

    def constant(self, value: NDArray[Any]) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value.astype(np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def conv(self, source: str, weight: NDArray[Any], bias: NDArray[Any], **attributes: Any) -> str:
        return self.node("Conv", source, self.constant(weight), self.constant(bias), **attributes)

    def model(self, rows: int, coefficients: int) -> onnx.ModelProto:
        input_info = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, rows * STEP, BANDS])
        output_info = helper.make_tensor_value_info("motion", TensorProto.FLOAT, [1, rows, coefficients])
        graph = helper.make_graph(self.nodes, "motion", [input_info], [output_info], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model)
        return model


def _scale_shift(norm: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    return scale.numpy(), (norm.bias - norm.running_mean * scale).detach().numpy()


def _folded(conv: Any, norm: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    scale, shift = _scale_shift(norm)
    bias = conv.bias.detach().numpy() if conv.bias is not None else np.zeros_like(shift)
    return conv.weight.detach().numpy() * scale[:, None, None], bias * scale + shift


def _plain(conv: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return conv.weight.detach().numpy(), conv.bias.detach().numpy()
