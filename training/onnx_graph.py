"""Build an ONNX graph node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lipsync.speech.encoder import FEATURES


class GraphBuilder:
    """An ONNX graph from features to motion, with generated names and weights in half precision."""

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
