"""Build ONNX graphs node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lipsync.errors import ExtraMissing
from lipsync.types import Float32

OPSET, IR_VERSION = 17, 8
Shape = Sequence[int | str]  # a string stands for any size


def onnx_package() -> Any:
    """Return the onnx package. Raises ExtraMissing."""
    try:
        import onnx
    except ImportError as exc:
        raise ExtraMissing('converting models needs an extra. Run: pip install "lip-sync-service[wav2lip]"') from exc
    return onnx


class GraphBuilder:
    """A graph under construction. ``half``: float16 throughout, including inputs and outputs.

    Raises ExtraMissing without the onnx package.
    """

    def __init__(self, half: bool) -> None:
        self._onnx = onnx_package()
        self._dtype = np.dtype("<f2" if half else "<f4")
        self._element_type = self._onnx.helper.np_dtype_to_tensor_dtype(self._dtype)
        self._model = self._onnx.ModelProto(ir_version=IR_VERSION)
        self._model.opset_import.add(version=OPSET)
        self._graph = self._model.graph

    def node(self, operator: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = out or f"{operator.lower()}{len(self._graph.node)}"
        self._graph.node.append(self._onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Float32 | np.float32, name: str = "") -> str:
        """Add a constant in the graph's precision; return its name."""
        name = name or f"weight{len(self._graph.initializer)}"
        with np.errstate(over="ignore"):  # the smoke test finds values that overflow
            content = value.astype(self._dtype)
        # Filled in place: the onnx helpers would copy the weights four times.
        self._graph.initializer.add(
            name=name, data_type=self._element_type, dims=content.shape, raw_data=content.tobytes()
        )
        return name

    def resize(self, source: str, scales: Sequence[float], out: str = "", **attributes: Any) -> str:
        """Add a Resize node; ``scales``: of height and width. Return the name of its output."""
        name = f"scales{len(self._graph.initializer)}"
        values = np.array([1, 1, *scales], np.float32)  # single precision in every graph
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(values, name))
        return self.node("Resize", source, "", name, out=out, **attributes)

    def upsample_nearest(self, source: str, scales: Sequence[float], out: str = "") -> str:
        """Repeat pixels; ``scales``: of height and width. Return the name of the output."""
        nearest = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return self.resize(source, scales, out, **nearest)

    def build(self, name: str, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """Return the serialized model; the shapes are without the batch dimension, which is added in front."""
        self._graph.name = name
        for values, shapes in ((self._graph.input, inputs), (self._graph.output, outputs)):
            values.extend(
                self._onnx.helper.make_tensor_value_info(key, self._element_type, ["n", *shape])
                for key, shape in shapes.items()
            )
        return bytes(self._model.SerializeToString())
