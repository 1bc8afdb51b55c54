"""Convert ncnn models to ONNX, so that they run on all devices.

The param file is text with one layer per line: type, name, number of inputs and outputs, their names, then numbered
parameters. The bin file holds the weights of the layers in the same order. Source: ncnn's documentation ("param and
model file structure", "operators"). The supported layers are those of the models in ``ncnn``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from lipsync.errors import ModelCorrupt
from lipsync.models.onnx_builder import GraphBuilder
from lipsync.types import Float32

MAGIC: Final = "7767517"
FLOAT16_TAG: Final = 0x01306B47  # in front of float16 weights; 0 in front of float32
OPERATIONS: Final = ("Add", "Sub", "Mul", "Div")
MODES: Final = ("", "nearest", "linear", "cubic")
ACTIVATION, ACTIVATION_PARAMS, COEFFICIENTS = "9", "-23310", "-23301"  # parameter numbers


def onnx_of(param: Path, weights: Path, half: bool = False) -> bytes:
    """Convert a model (n, 3, h, w) to (n, 3, scale h, scale w). ``half``: float16, including input and output.

    Raises ModelCorrupt, and ExtraMissing without the onnx package.
    """
    graph = GraphBuilder(half)
    try:
        return _Conversion(graph, weights.read_bytes()).run(param.read_text())
    except (ValueError, IndexError, KeyError, OSError) as exc:
        raise ModelCorrupt(f"{param.name}: cannot convert: {exc}") from exc


class _Conversion:
    """The graph under construction, and the read position in the weights."""

    def __init__(self, graph: GraphBuilder, content: bytes) -> None:
        self._graph, self._content, self._position = graph, content, 0
        self._layers: Mapping[str, Callable[[str, list[str], list[str], Mapping[str, str]], None]] = {
            "MemoryData": self._memory,
            "Split": self._split,
            "Convolution": self._convolution,
            "PReLU": lambda name, inputs, outputs, params: self._node(
                "PRelu", [*inputs, self._constant(name, self._read(int(params["0"])).reshape(-1, 1, 1))], outputs[0]
            ),
            "Sigmoid": lambda name, inputs, outputs, params: self._node("Sigmoid", inputs, outputs[0]),
            "Swish": self._swish,
            "BinaryOp": self._binary,
            "Eltwise": self._weighted_sum,
            "Concat": lambda name, inputs, outputs, params: self._node("Concat", inputs, outputs[0], axis=1),
            "PixelShuffle": lambda name, inputs, outputs, params: self._node(
                "DepthToSpace", inputs, outputs[0], blocksize=int(params["0"]), mode="CRD"
            ),
            "Interp": self._resize,
        }

    def run(self, text: str) -> bytes:
        """Convert a param file. Raises ValueError, IndexError, KeyError."""
        magic, _, *lines = text.splitlines()
        if magic.strip() != MAGIC:
            raise ValueError("not an ncnn param file")
        for line in lines:
            kind, name, input_count, output_count, *rest = line.split()
            end_inputs = int(input_count)
            end_outputs = end_inputs + int(output_count)
            params = dict(param.split("=", 1) for param in rest[end_outputs:])
            if kind != "Input":
                self._layers[kind](name, rest[:end_inputs], rest[end_inputs:end_outputs], params)
        if self._position != len(self._content):
            raise ValueError("param and bin files do not match")
        return self._graph.build("upscaler", {"data": (3, "h", "w")}, {"output": (3, "H", "W")})

    def _memory(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        shape = [int(params[key]) for key in ("2", "1", "0") if int(params.get(key, "0"))]
        self._graph.constant(self._read(int(np.prod(shape))).reshape(1, *shape), outputs[0])

    def _split(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        for out in outputs:
            self._node("Identity", inputs, out)

    def _convolution(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        size, pad, filters = int(params["1"]), int(params.get("4", "0")), int(params["0"])
        kernel = self._tagged(int(params["6"])).reshape(filters, -1, size, size)
        arrays = [*inputs, self._constant(f"{name}/kernel", kernel)]
        if int(params.get("5", "0")):
            arrays.append(self._constant(f"{name}/bias", self._read(filters)))
        activation = params.get(ACTIVATION, "0")
        if activation not in ("0", "2"):
            raise ValueError(f"layer {name}: unsupported activation")
        self._node("Conv", arrays, outputs[0] if activation == "0" else f"{name}/before", pads=[pad] * 4)
        if activation == "2":  # leaky ReLU
            slope = float(params[ACTIVATION_PARAMS].split(",")[1])
            self._node("LeakyRelu", [f"{name}/before"], outputs[0], alpha=slope)

    def _swish(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        self._node("Sigmoid", inputs, f"{name}/sigmoid")
        self._node("Mul", [*inputs, f"{name}/sigmoid"], outputs[0])

    def _binary(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        scalar = [self._constant(f"{name}/scalar", np.float32(params["2"]))] if params.get("1", "0") == "1" else []
        self._node(OPERATIONS[int(params.get("0", "0"))], [*inputs, *scalar], outputs[0])

    def _weighted_sum(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        if params["0"] != "1":
            raise ValueError(f"layer {name}: unsupported operation")
        factors = [float(factor) for factor in params[COEFFICIENTS].split(",")[1:]] if COEFFICIENTS in params else []
        terms = list(inputs)
        for k, factor in enumerate(factors):
            terms[k] = f"{name}/{k}"
            self._node("Mul", [inputs[k], self._constant(f"{name}/factor{k}", np.float32(factor))], terms[k])
        self._node("Sum", terms, outputs[0])

    def _resize(self, name: str, inputs: list[str], outputs: list[str], params: Mapping[str, str]) -> None:
        (source,), mode, scales = inputs, MODES[int(params["0"])], (float(params["2"]), float(params["1"]))
        if mode == "nearest":
            self._graph.upsample_nearest(source, scales, outputs[0])
        else:
            how = {"coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75}
            self._graph.resize(source, scales, outputs[0], mode=mode, **how)

    def _node(self, kind: str, inputs: list[str], out: str, **attributes: Any) -> None:
        self._graph.node(kind, *inputs, out=out, **attributes)

    def _constant(self, name: str, values: Float32 | np.float32) -> str:
        return self._graph.constant(values, f"{name}/constant")

    def _tagged(self, count: int) -> Float32:
        """Read weights that are preceded by a tag for their type."""
        tag = int.from_bytes(self._content[self._position : self._position + 4], "little")
        self._position += 4
        if tag == 0:
            return self._read(count)
        if tag != FLOAT16_TAG:
            raise ValueError("unsupported weight type")
        values = np.frombuffer(self._content, "<f2", count, self._position).astype(np.float32)
        self._position += -(-2 * count // 4) * 4
        return values

    def _read(self, count: int) -> Float32:
        values = np.frombuffer(self._content, "<f4", count, self._position).astype(np.float32)
        self._position += 4 * count
        return values
