"""Networks in ncnn's files as ONNX graphs, so that what runs all others runs them too.

The param file is text, a layer a line: kind, name, how many inputs and outputs, their names, then numbered settings.
The bin file has the weights of the layers in that order. Both as ncnn's documentation tells ("param and model file
structure", "operators"). Known are the layers of the networks in ``ncnn_networks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from lipsync.errors import ExtraMissing, ModelCorrupt
from lipsync.types import Float32

MAGIC: Final = "7767517"
HALVES: Final = 0x01306B47  # before weights of 16 bits; 0 before those of 32
IR_VERSION, OPSET = 8, 18
OPERATIONS: Final = ("Add", "Sub", "Mul", "Div")
MODES: Final = ("", "nearest", "linear", "cubic")
ACTIVATION, SLOPES, COEFFICIENTS = "9", "-23310", "-23301"


def onnx_of(param: Path, weights: Path, half: bool = False) -> bytes:
    """The network as ONNX: (n, 3, h, w) to (n, 3, factor h, factor w). ``half``: in half precision, both too.

    Raises ModelCorrupt, ExtraMissing without the onnx package.
    """
    try:
        import onnx
    except ImportError as exc:
        raise ExtraMissing('these networks need their extra: pip install "lip-sync-service[ncnn]"') from exc
    try:
        return _Conversion(onnx, weights.read_bytes(), half).model(param.read_text())
    except (ValueError, IndexError, KeyError, OSError) as exc:
        raise ModelCorrupt(f"{param.name} is no network that can be read: {exc}") from exc


class _Conversion:
    """A graph under construction, and how far the weights have been read."""

    def __init__(self, onnx: Any, content: bytes, half: bool) -> None:
        self._onnx, self._content, self._at = onnx, content, 0
        self._type = np.float16 if half else np.float32
        self._model = onnx.ModelProto(ir_version=IR_VERSION)
        self._model.opset_import.add(version=OPSET)
        self._graph = self._model.graph
        self._layers: Mapping[str, Callable[[str, list[str], list[str], Mapping[str, str]], None]] = {
            "MemoryData": self._memory,
            "Split": self._split,
            "Convolution": self._convolution,
            "PReLU": lambda name, takes, gives, has: self._node(
                "PRelu", [*takes, self._constant(name, self._read(int(has["0"])).reshape(-1, 1, 1))], gives[0]
            ),
            "Sigmoid": lambda name, takes, gives, has: self._node("Sigmoid", takes, gives[0]),
            "Swish": self._swish,
            "BinaryOp": self._binary,
            "Eltwise": self._weighted_sum,
            "Concat": lambda name, takes, gives, has: self._node("Concat", takes, gives[0], axis=1),
            "PixelShuffle": lambda name, takes, gives, has: self._node(
                "DepthToSpace", takes, gives[0], blocksize=int(has["0"]), mode="CRD"
            ),
            "Interp": self._resize,
        }

    def model(self, param: str) -> bytes:
        magic, _, *lines = param.splitlines()
        if magic.strip() != MAGIC:
            raise ValueError("it does not begin as such")
        for line in lines:
            kind, name, takes, gives, *rest = line.split()
            cut = int(takes), int(takes) + int(gives)
            has = dict(setting.split("=", 1) for setting in rest[cut[1] :])
            if kind != "Input":
                self._layers[kind](name, rest[: cut[0]], rest[cut[0] : cut[1]], has)
        if self._at != len(self._content):
            raise ValueError("its weights are those of another network")
        make, kind = self._onnx.helper.make_tensor_value_info, self._onnx.helper.np_dtype_to_tensor_dtype
        number = kind(np.dtype(self._type))
        self._graph.name = "enlarger"
        self._graph.input.append(make("data", number, ["n", 3, "h", "w"]))
        self._graph.output.append(make("output", number, ["n", 3, "H", "W"]))
        return bytes(self._model.SerializeToString())

    def _memory(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        shape = [int(has[key]) for key in ("2", "1", "0") if int(has.get(key, "0"))]
        self._constant("", self._read(int(np.prod(shape))).reshape(1, *shape), gives[0])

    def _split(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        for out in gives:
            self._node("Identity", takes, out)

    def _convolution(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        side, pad, filters = int(has["1"]), int(has.get("4", "0")), int(has["0"])
        kernel = self._tagged(int(has["6"])).reshape(filters, -1, side, side)
        arrays = [*takes, self._constant(f"{name}/kernel", kernel)]
        if int(has.get("5", "0")):
            arrays.append(self._constant(f"{name}/bias", self._read(filters)))
        leaky = has.get(ACTIVATION, "0")
        if leaky not in ("0", "2"):
            raise ValueError(f"its layer {name} ends in something unknown")
        self._node("Conv", arrays, gives[0] if leaky == "0" else f"{name}/before", pads=[pad] * 4)
        if leaky == "2":
            self._node("LeakyRelu", [f"{name}/before"], gives[0], alpha=float(has[SLOPES].split(",")[1]))

    def _swish(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        self._node("Sigmoid", takes, f"{name}/share")
        self._node("Mul", [*takes, f"{name}/share"], gives[0])

    def _binary(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        number = [self._constant(f"{name}/number", np.float32(has["2"]))] if has.get("1", "0") == "1" else []
        self._node(OPERATIONS[int(has.get("0", "0"))], [*takes, *number], gives[0])

    def _weighted_sum(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        if has["0"] != "1":
            raise ValueError(f"its layer {name} is no sum")
        shares = [float(share) for share in has[COEFFICIENTS].split(",")[1:]] if COEFFICIENTS in has else []
        terms = list(takes)
        for k, share in enumerate(shares):
            terms[k] = f"{name}/{k}"
            self._node("Mul", [takes[k], self._constant(f"{name}/share{k}", np.float32(share))], terms[k])
        self._node("Sum", terms, gives[0])

    def _resize(self, name: str, takes: list[str], gives: list[str], has: Mapping[str, str]) -> None:
        mode, scale = MODES[int(has["0"])], np.array([1, 1, has["2"], has["1"]], np.float32)
        nearest = mode == "nearest"
        more: dict[str, Any] = {"nearest_mode": "floor"} if nearest else {"cubic_coeff_a": -0.75}
        more["coordinate_transformation_mode"] = "asymmetric" if nearest else "half_pixel"
        factors = self._onnx.numpy_helper.from_array(scale, f"{name}/scale")  # 32 bits whatever else has
        self._graph.initializer.append(factors)
        self._node("Resize", [*takes, "", factors.name], gives[0], mode=mode, **more)

    def _node(self, kind: str, takes: list[str], out: str, **settings: Any) -> None:
        self._graph.node.append(self._onnx.helper.make_node(kind, takes, [out], **settings))

    def _constant(self, name: str, values: Float32 | np.float32, whole_name: str = "") -> str:
        stored = np.ascontiguousarray(values, self._type).reshape(np.shape(values))
        tensor = self._onnx.numpy_helper.from_array(stored, whole_name or f"{name}/constant")
        self._graph.initializer.append(tensor)
        return str(tensor.name)

    def _tagged(self, count: int) -> Float32:
        """Weights that say how they are stored."""
        tag = int.from_bytes(self._content[self._at : self._at + 4], "little")
        self._at += 4
        if tag == 0:
            return self._read(count)
        if tag != HALVES:
            raise ValueError("its weights are stored in an unknown way")
        values = np.frombuffer(self._content, "<f2", count, self._at).astype(np.float32)
        self._at += -(-2 * count // 4) * 4
        return values

    def _read(self, count: int) -> Float32:
        values = np.frombuffer(self._content, "<f4", count, self._at).astype(np.float32)
        self._at += 4 * count
        return values
