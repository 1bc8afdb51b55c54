"""The motion heads in PyTorch, and their export to ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx_graph import GraphBuilder
from torch import Tensor, nn

from lipsync.faces import geometry
from lipsync.speech.motion import WINDOW, Basis
from lipsync.types import Float32

DILATIONS = (1, 2, 4, 8, 1)
LINEAR_REACH = 10  # rows on each side that the linear path sees
HOLD = 1.5  # lowers the logit of a closure by HOLD n^2 at n rows from it: between two frames it would go unseen
HOLD_REACH = 3  # rows


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
    ``width`` (K,) and ``protrusion`` (K,): changes of the mouth's width, and of the lips' mean distance from the head.
    """

    opening: Float32
    width: Float32
    protrusion: Float32
    neutral: Float32
    closing: Float32

    @classmethod
    def of(cls, basis: Basis) -> Lips:
        shapes = basis.components
        opening = shapes[:, geometry.INNER_BOTTOM, 1] - shapes[:, geometry.INNER_TOP, 1]
        width = shapes[:, geometry.LEFT_CORNER, 0] - shapes[:, geometry.RIGHT_CORNER, 0]
        way = opening - width * (opening @ width) / (width @ width)
        protrusion = -shapes[:, list(geometry.LIPS), 2].mean(1)
        return cls(opening, width, protrusion, basis.neutral, way / (opening @ way))


class MotionHead(nn.Module):
    """Projected rows (batch, n, P) to motion (batch, n, K) and the logit of a closure (batch, n).

    The encoder's rows were first projected onto a few fixed axes. A linear path with some context and residual dilated
    convolutions (Bai, Kolter and Koltun, arXiv:1803.01271, 2018) add up to coefficients and the logit of a closure,
    which then moves the coefficients towards closed lips.
    """

    def __init__(self, inputs: int, lips: Lips, width: int = 128, drop: float = 0.3) -> None:
        super().__init__()
        self.closing = Closing(lips)
        outputs = len(lips.opening) + 1
        self.linear = nn.Conv1d(inputs, outputs, 2 * LINEAR_REACH + 1, padding=LINEAR_REACH)
        self.front = nn.Conv1d(inputs, width, 5, padding=2)
        self.blocks = nn.ModuleList(_block(width, dilation, drop) for dilation in DILATIONS)
        self.out = nn.Conv1d(width, outputs, 1)
        nn.init.zeros_(self.linear.weight)

    def forward(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        result = self.before_closing(projected)
        motion, logit = result[..., :-1], result[..., -1]
        return self.closing(motion, logit), logit

    def before_closing(self, projected: Tensor) -> Tensor:
        """Motion and logit (batch, n, K + 1)."""
        rows = projected.transpose(1, 2)
        hidden = self.front(rows)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return (self.linear(rows) + self.out(nn.functional.gelu(hidden))).transpose(1, 2)


class Closing(nn.Module):
    """Moves motion (batch, n, K) towards closed lips, by the logits (batch, n)."""

    opening: Tensor
    neutral: Tensor
    way: Tensor

    def __init__(self, lips: Lips) -> None:
        super().__init__()
        for name, value in (("opening", lips.opening), ("neutral", lips.neutral), ("way", lips.closing)):
            self.register_buffer(name, torch.from_numpy(value))

    def forward(self, motion: Tensor, logit: Tensor) -> Tensor:
        gap = ((motion - self.neutral) @ self.opening).clamp(min=0)
        return motion - (torch.sigmoid(logit) * gap)[..., None] * self.way


class MotionHeads(nn.Module):
    """Encoder rows (batch, n, 1024) to motion (batch, n, K + 1): K coefficients, and how surely the lips close, 0..1.

    Averages heads that were trained independently: what only one of them believes is likely wrong (Hansen and Salamon,
    "Neural network ensembles", IEEE Transactions on Pattern Analysis and Machine Intelligence 12(10), 1990).
    """

    axes: Tensor
    offset: Tensor

    def __init__(self, projection: Projection, heads: Sequence[MotionHead]) -> None:
        super().__init__()
        self.register_buffer("axes", torch.from_numpy(projection.axes))
        self.register_buffer("offset", torch.from_numpy(projection.offset))
        self.heads = nn.ModuleList(heads)
        self.closing = heads[0].closing

    def forward(self, features: Tensor) -> Tensor:
        projected = features @ self.axes + self.offset
        result = torch.stack([head.before_closing(projected) for head in self.heads]).mean(0)
        logit = held(result[..., -1])
        return torch.cat([self.closing(result[..., :-1], logit), torch.sigmoid(logit)[..., None]], 2)


def held(logit: Tensor) -> Tensor:
    """Logits (batch, n) of closures that last the longer, the surer they are; training does without.

    This is the dilation by a parabola (van den Boomgaard and others, "Quadratic structuring functions in mathematical
    morphology", ISMM 1996), one row at a time.
    """
    for step in _hold_steps():
        logit = torch.maximum(logit, nn.functional.max_pool1d(logit[:, None], 3, 1, 1)[:, 0] - step)
    return logit


def _hold_steps() -> list[float]:
    return [HOLD * (2 * row + 1) for row in range(HOLD_REACH)]


def _block(width: int, dilation: int, drop: float) -> nn.Sequential:
    return nn.Sequential(
        nn.GELU(), nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm1d(width),
        nn.GELU(), nn.Dropout(drop), nn.Conv1d(width, width, 1),
    )  # fmt: skip


def to_onnx(model: MotionHeads, rows: int = WINDOW) -> onnx.ModelProto:
    """Export for a fixed number of rows, with folded batch normalization and weights in half precision."""
    model.eval()
    graph = GraphBuilder()
    projected = graph.node("MatMul", "features", graph.constant(model.axes.numpy()))
    projected = graph.node("Add", projected, graph.constant(model.offset.numpy()))
    projected = graph.node("Transpose", projected, perm=[0, 2, 1])
    result = graph.node("Mean", *(_add_head(graph, projected, head) for head in model.heads))
    _close(graph, graph.node("Transpose", result, perm=[0, 2, 1]), model.closing)
    return graph.model(rows, len(model.closing.neutral) + 1)


def _add_head(graph: GraphBuilder, projected: str, head: Any) -> str:
    hidden = graph.conv(projected, *_plain(head.front), pads=[2, 2])
    for block in head.blocks:
        hidden = _add_block(graph, hidden, block)
    straight = graph.conv(projected, *_plain(head.linear), pads=[LINEAR_REACH, LINEAR_REACH])
    return graph.node("Add", straight, graph.conv(graph.node("Gelu", hidden), *_plain(head.out)))


def _close(graph: GraphBuilder, result: str, closing: Closing) -> None:
    motion, logit = graph.split(result, [len(closing.neutral), 1])
    logit = graph.node("Transpose", logit, perm=[0, 2, 1])
    for step in _hold_steps():
        around = graph.node("MaxPool", logit, kernel_shape=[3], pads=[1, 1])
        logit = graph.node("Max", logit, graph.node("Sub", around, graph.constant(np.array(step))))
    certainty = graph.node("Sigmoid", graph.node("Transpose", logit, perm=[0, 2, 1]))
    apart = graph.node("Sub", motion, graph.constant(closing.neutral.numpy()))
    gap = graph.node("Relu", graph.node("MatMul", apart, graph.constant(closing.opening.numpy()[:, None])))
    change = graph.node("Mul", graph.node("Mul", certainty, gap), graph.constant(closing.way.numpy()))
    graph.node("Concat", graph.node("Sub", motion, change), certainty, out="motion", axis=2)


def _add_block(graph: GraphBuilder, hidden: str, block: Any) -> str:
    dilation = block[1].dilation[0]
    inner = graph.conv(
        graph.node("Gelu", hidden), *_folded(block[1], block[2]), pads=[dilation, dilation], dilations=[dilation]
    )
    return graph.node("Add", hidden, graph.conv(graph.node("Gelu", inner), *_plain(block[5])))


def _folded(conv: Any, norm: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
    bias = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
    return conv.weight.detach().numpy() * scale[:, None, None], bias


def _plain(conv: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return conv.weight.detach().numpy(), conv.bias.detach().numpy()
