"""ONNX files as other exporters write them, built node by node."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.engines.wav2lip import architecture as generator
from lipsync.engines.wav2lip.architecture import Conv, fold
from lipsync.engines.wav2lip.onnx_source import read_onnx
from lipsync.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    CheckpointRefused,
    CheckpointTruncated,
    NotACheckpoint,
)
from lipsync.models.devices import open_session
from lipsync.models.onnx_file import is_onnx

onnx = pytest.importorskip("onnx", reason="needs the wav2lip extra")

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "golden.npz"
NORM = ("weight", "bias", "running_mean", "running_var")
Nodes = list[Any]


class Writer:
    """Writes the generator as one graph; keywords select what differs from the usual export."""

    def __init__(self, weights: Mapping[str, np.ndarray], **unusual: Any) -> None:
        self.weights, self.unusual = weights, unusual
        self.constants: Nodes = []
        self.before: Nodes = []
        self.recording: Nodes = []
        self.face: Nodes = []
        self.both: Nodes = []
        self.mel_name, self.face_name = unusual.get("names", ("mel", "face"))
        self.folded = fold(weights) if unusual.get("folded") else {}

    def model(self) -> Any:
        skips, hidden = [], self.face_name
        for i, stage in enumerate(generator.FACE_ENCODER):
            hidden = self.chain(self.face, hidden, f"face_encoder_blocks.{i}", stage)
            skips.append(hidden)
        hidden = self.chain(self.recording, self.mel_name, "audio_encoder", generator.AUDIO_ENCODER)
        for i, stage in enumerate(generator.FACE_DECODER):
            hidden = self.chain(self.both, hidden, f"face_decoder_blocks.{i}", stage)
            hidden = self.add(self.both, "Concat", hidden, skips.pop(), axis=1)
        hidden = self.block(self.both, hidden, generator.LAST_NAME, generator.LAST)
        parts = (self.weights[f"{generator.TO_RGB_NAME}.{part}"] for part in ("weight", "bias"))
        hidden = self.convolution(self.both, hidden, generator.TO_RGB_NAME, generator.TO_RGB, *parts)
        self.both.append(onnx.helper.make_node("Sigmoid", [hidden], ["out"]))
        return self.assembled()

    def assembled(self) -> Any:
        nodes = [node for pair in itertools.zip_longest(self.recording, self.face) for node in pair if node is not None]
        kind = onnx.TensorProto.FLOAT16 if self.unusual.get("half") else onnx.TensorProto.FLOAT
        batch = self.unusual.get("batch", 1)
        value = onnx.helper.make_tensor_value_info
        inputs = [value(self.mel_name, kind, [batch, 1, 80, 16]), value(self.face_name, kind, [batch, 6, 96, 96])]
        graph = onnx.helper.make_graph(
            self.before + nodes + self.both,
            "exported",
            inputs[::-1] if self.unusual.get("face_first") else inputs,
            [value("out", kind, [batch, 3, 96, 96])],
            self.constants,
        )
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)

    def chain(self, nodes: Nodes, source: str, prefix: str, stage: tuple[Conv, ...]) -> str:
        for k, conv in enumerate(stage):
            source = self.block(nodes, source, f"{prefix}.{k}", conv)
        return source

    def block(self, nodes: Nodes, source: str, name: str, conv: Conv) -> str:
        if self.folded:
            hidden = self.convolution(nodes, source, name, conv, *self.folded[name])
        else:
            weight, bias = (self.weights[f"{name}.conv_block.0.{part}"] for part in ("weight", "bias"))
            hidden = self.convolution(nodes, source, name, conv, weight, bias)
            norm = [self.constant(self.weights[f"{name}.conv_block.1.{part}"]) for part in NORM]
            epsilon = self.unusual.get("epsilon", 1e-5)
            hidden = self.add(nodes, "BatchNormalization", hidden, *norm, epsilon=epsilon)
        hidden = self.add(nodes, "Add", hidden, source) if conv.residual else hidden
        return self.add(nodes, "Relu", hidden)

    def convolution(self, nodes: Nodes, source: str, name: str, conv: Conv, weight: Any, bias: Any) -> str:
        more = {"output_padding": [conv.output_padding] * 2} if conv.output_padding else {}
        given = {"strides": list(conv.stride), "pads": [conv.pad] * 4, "kernel_shape": [conv.kernel] * 2} | more
        inputs = [source, self.constant(weight), self.constant(bias)]
        return self.add(nodes, "ConvTranspose" if conv.up else "Conv", *inputs, **given)

    def constant(self, numbers: np.ndarray) -> str:
        name = f"constant{len(self.constants) + len(self.before)}"
        tensor = onnx.numpy_helper.from_array(
            numbers.astype(np.float16 if self.unusual.get("half") else np.float32), name
        )
        if self.unusual.get("as_nodes"):
            self.before.append(onnx.helper.make_node("Constant", [], [name], value=tensor))
            self.before.append(onnx.helper.make_node("Identity", [name], [f"{name}_again"]))
            return f"{name}_again"
        self.constants.append(tensor)
        return name

    def add(self, nodes: Nodes, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.recording)}_{len(self.face)}_{len(self.both)}"
        nodes.append(onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name


@pytest.fixture(scope="module")
def small(weights) -> Any:
    """A model that tests modify as copies."""
    return Writer(weights, folded=True).model()


@pytest.fixture
def changed(small, tmp_path) -> Iterator[Callable[[Callable[[Any], Any]], Path]]:
    def write(change: Callable[[Any], Any]) -> Path:
        model = onnx.ModelProto()
        model.CopyFrom(small)
        change(model.graph)
        path = tmp_path / "a.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.mark.parametrize(
    "unusual",
    [
        {},
        {"names": ("source", "target"), "face_first": True, "folded": True},
        {"as_nodes": True, "batch": "frames"},
        {"half": True},
    ],
    ids=["as exported", "folded, other names, face first", "constants as nodes, any batch", "half"],
)
def test_weights_are_extracted_from_any_exporters_file(tmp_path, weights, unusual):
    path = tmp_path / "a.onnx"
    path.write_bytes(Writer(weights, **unusual).model().SerializeToString())
    assert is_onnx(path.read_bytes()[:2])
    near = 2e-2 if unusual.get("half") else 1e-6
    found, expected = read_onnx(path), fold(weights)
    assert set(found) == set(expected)
    for name, pair in expected.items():
        for part, other in zip(found[name], pair, strict=True):
            assert part.dtype == np.float32
            assert np.abs(part - other).max() < near, name


def test_a_normalisation_is_folded_with_its_own_epsilon(tmp_path, weights):
    path = tmp_path / "a.onnx"
    path.write_bytes(Writer(weights, epsilon=0.5).model().SerializeToString())
    name = "audio_encoder.0"
    variance, gain = (weights[f"{name}.conv_block.1.{part}"] for part in ("running_var", "weight"))
    scale = gain / np.sqrt(variance + 0.5)
    expected = weights[f"{name}.conv_block.0.weight"] * scale[:, None, None, None]
    assert np.abs(read_onnx(path)[name][0] - expected).max() < 1e-6


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs reference results of the original")
def test_the_extracted_networks_output_matches_the_originals(tmp_path, weights):
    path = tmp_path / "a.onnx"
    path.write_bytes(Writer(weights, names=("source", "target"), as_nodes=True).model().SerializeToString())
    found = read_onnx(path)
    with np.load(GOLDEN) as golden:
        skips = open_session(generator.encoder_graph(found), threads=1).run([golden["face"]])
        (out,) = open_session(generator.decoder_graph(found), threads=1).run([golden["mel"], *skips])
        assert np.abs(out - golden["out"]).max() <= 1e-4


def test_a_convolution_without_bias(changed):
    def drop(graph: Any) -> None:
        del first(graph, "Conv").input[2:]

    assert (read_onnx(changed(drop))["audio_encoder.0"][1] == 0).all()


def first(graph: Any, kind: str) -> Any:
    return next(node for node in graph.node if node.op_type == kind)


def attribute(node: Any, name: str) -> Any:
    return next(attribute for attribute in node.attribute if attribute.name == name)


def weight_of(graph: Any, node: Any) -> Any:
    return next(tensor for tensor in graph.initializer if tensor.name == node.input[1])


def other_stride(graph: Any) -> None:
    attribute(first(graph, "Conv"), "strides").ints[:] = [2, 1]


def other_padding(graph: Any) -> None:
    attribute(first(graph, "ConvTranspose"), "pads").ints[:] = [1, 1, 1, 1]


def in_groups(graph: Any) -> None:
    first(graph, "Conv").attribute.append(onnx.helper.make_attribute("group", 2))


def left_to_the_runtime(graph: Any) -> None:
    first(graph, "Conv").attribute.append(onnx.helper.make_attribute("auto_pad", "SAME_UPPER"))


def other_shape(graph: Any) -> None:
    weight_of(graph, first(graph, "Conv")).CopyFrom(
        onnx.numpy_helper.from_array(np.zeros((32, 1, 5, 5), np.float32), first(graph, "Conv").input[1])
    )


def leaky(graph: Any) -> None:
    first(graph, "Relu").op_type = "LeakyRelu"


def one_less(graph: Any) -> None:
    node = first(graph, "Conv")
    node.op_type = "Relu"
    del node.attribute[:], node.input[1:]


def one_input(graph: Any) -> None:
    for node in graph.node:
        node.input[:] = ["face" if name == "mel" else name for name in node.input]
    del graph.input[0]


def scaled(graph: Any) -> None:
    graph.initializer.append(onnx.numpy_helper.from_array(np.float32([2]), "two"))
    node = next(node for node in graph.node if node.op_type == "Relu")
    before = node.input[0]
    node.input[0] = "doubled"
    at = next(k for k, other in enumerate(graph.node) if other == node)
    graph.node.insert(at, onnx.helper.make_node("Mul", [before, "two"], ["doubled"]))


def computed(graph: Any) -> None:
    first(graph, "Conv").input[1] = "mel"


def quantised(graph: Any) -> None:
    graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", ["mel", "constant0"], ["mel8"]))


def integers(graph: Any) -> None:
    tensor = weight_of(graph, first(graph, "Conv"))
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(tuple(tensor.dims), np.int8), tensor.name))


def optimised(graph: Any) -> None:
    first(graph, "Conv").op_type = "FusedConv"


def rearranged(graph: Any) -> None:
    first(graph, "Conv").domain = "com.microsoft.nchwc"


def out_of_order(graph: Any) -> None:
    first(graph, "Relu").input[0] = "later"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_stride, r"audio_encoder\.0 has strides \[2, 1\] instead of \[1, 1\]"),
        (other_padding, r"face_decoder_blocks\.1\.0 has pads \[1, 1, 1, 1\] instead of \[0, 0, 0, 0\]"),
        (other_shape, r"audio_encoder\.0 has the shape \(32, 1, 5, 5\) instead of \(32, 1, 3, 3\)"),
        (in_groups, "grouped convolution"),
        (left_to_the_runtime, "automatic padding"),
        (leaky, "[0-9]+ Relu instead of [0-9]+"),
        (one_less, "a mel spectrogram and a face|convolutions of the audio"),
        (one_input, "a mel spectrogram and a face"),
        (scaled, "Mul with a constant after a convolution"),
        (computed, "not constants"),
        (quantised, "quantised"),
        (integers, "quantised"),
        (optimised, "rewritten by a graph optimiser"),
        (rearranged, "rewritten by a graph optimiser"),
        (out_of_order, "later is used before it is defined"),
    ],
)
def test_another_network_is_reported_with_its_first_difference(changed, change, message):
    with pytest.raises(CheckpointMismatch, match=message):
        read_onnx(changed(change))


def test_nan_in_the_weights(changed):
    def spoil(graph: Any) -> None:
        tensor = weight_of(graph, first(graph, "Conv"))
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(tensor.dims), np.nan, np.float32), tensor.name))

    with pytest.raises(CheckpointInvalid, match=r"audio_encoder\.0"):
        read_onnx(changed(spoil))


def test_external_weights_are_rejected(changed, tmp_path):
    def point(graph: Any) -> None:
        tensor = weight_of(graph, first(graph, "Conv"))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    with pytest.raises(CheckpointRefused, match="in a separate file"):
        read_onnx(changed(point))


def test_truncated_values(changed):
    def shorten(graph: Any) -> None:
        tensor = weight_of(graph, first(graph, "Conv"))
        tensor.raw_data = tensor.raw_data[:-4]

    with pytest.raises(CheckpointTruncated, match=r"audio_encoder\.0"):
        read_onnx(changed(shorten))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99999])
def test_a_truncated_file(changed, share):
    path = changed(lambda graph: None)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointTruncated, match="truncated"):
        read_onnx(path)


def test_a_file_that_is_damaged_inside(changed):
    path = changed(lambda graph: None)
    content = bytearray(path.read_bytes())
    content[60:120] = b"\xff" * 60
    path.write_bytes(content)
    with pytest.raises((CheckpointTruncated, CheckpointMismatch)):
        read_onnx(path)


def nowhere_to(graph: Any) -> None:
    del first(graph, "Conv").output[:]


def nothing_to_normalise(graph: Any) -> None:
    graph.node.insert(0, onnx.helper.make_node("BatchNormalization", [], ["lost"]))


def stride_of_text(graph: Any) -> None:
    attribute(first(graph, "Conv"), "strides").CopyFrom(onnx.helper.make_attribute("strides", 1.5))


@pytest.mark.parametrize("change", [nowhere_to, nothing_to_normalise, stride_of_text])
def test_an_inconsistent_graph(changed, change):
    with pytest.raises((CheckpointTruncated, CheckpointMismatch)):
        read_onnx(changed(change))


@pytest.mark.parametrize("content", [b"\x08\x08", b"\x08\x08" + b"text" * 100, b"\x08\x08\x12\x03abc"])
def test_other_files_that_start_like_onnx(tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(NotACheckpoint, match="not a weights file"):
        read_onnx(path)
