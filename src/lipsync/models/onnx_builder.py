"""ONNX graphs, built node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lipsync.errors import ExtraMissing
from lipsync.types import Float32

OPSET, IR_VERSION = 17, 8
Shape = Sequence[int | str]  # a word stands for any size


def onnx_package() -> Any:
    """The onnx package. Raises ExtraMissing."""
    try:
        import onnx
    except ImportError as exc:
        raise ExtraMissing('making weights ready needs an extra: pip install "lip-sync-service[wav2lip]"') from exc
    return onnx


class Graph:
    """A graph under construction; names are numbers. ``half``: in half precision, inputs and outputs too.

    Raises ExtraMissing without the onnx package.
    """

    def __init__(self, half: bool) -> None:
        self._onnx = onnx_package()
        self._type = np.dtype("<f2" if half else "<f4")
        self._kind = self._onnx.helper.np_dtype_to_tensor_dtype(self._type)
        self._model = self._onnx.ModelProto(ir_version=IR_VERSION)
        self._model.opset_import.add(version=OPSET)
        self._graph = self._model.graph

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add a node; gives its output's name."""
        name = out or f"{kind.lower()}{len(self._graph.node)}"
        self._graph.node.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Float32) -> str:
        """In the graph's precision. Filled in where it stays: onnx's own functions would copy weights four times."""
        name = f"weight{len(self._graph.initializer)}"
        with np.errstate(over="ignore"):  # the smoke run tells
            content = value.astype(self._type)
        self._graph.initializer.add(name=name, data_type=self._kind, dims=content.shape, raw_data=content.tobytes())
        return name

    def enlarged(self, source: str, factor: int) -> str:
        """A picture ``factor`` times as large, every pixel repeated."""
        name = f"scales{len(self._graph.initializer)}"
        factors = np.array([1, 1, factor, factor], np.float32)  # of single precision in every graph
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(factors, name))
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return self.node("Resize", source, "", name, **how)

    def model(self, name: str, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """The finished graph; the shapes are those of one of any number of things computed at once."""
        self._graph.name = name
        for values, shapes in ((self._graph.input, inputs), (self._graph.output, outputs)):
            values.extend(self._onnx.helper.make_tensor_value_info(n, self._kind, ["n", *s]) for n, s in shapes.items())
        return bytes(self._model.SerializeToString())
