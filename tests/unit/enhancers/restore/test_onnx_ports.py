"""Whether an ONNX file is a face restorer, and its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.enhancers.converters import CONVERTERS, NETWORK
from lipsync.enhancers.restore.onnx_ports import InputSignature, input_signature, read_restorer
from lipsync.errors import CheckpointInvalid, CheckpointMismatch, CheckpointRefused, CheckpointTruncated, LipsyncError
from lipsync.models.devices import open_session

onnx = pytest.importorskip("onnx", reason="makes the networks")

FLOAT, INT64, DOUBLE = 1, 7, 11
FACE = (1, 3, 256, 256)
RESTORER = next(converter for converter in CONVERTERS if converter.kind == "restorer")


def network(
    face: Any = FACE,
    out: Any = FACE,
    fidelity: Any = None,
    more: tuple[Any, ...] = (),
    kinds: tuple[int, int] = (FLOAT, DOUBLE),
    scale: float = 0.5,
) -> Any:
    """One convolution; ``fidelity``: the shape of CodeFormer's second input, which multiplies the result."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weight = np.zeros((3, 3, 3, 3), np.float32)
    weight[range(3), range(3), 1, 1] = scale
    nodes = [helper.make_node("Conv", ["input", "conv.weight"], ["soft"], pads=[1] * 4)]
    inputs = [helper.make_tensor_value_info("input", kinds[0], face), *more]
    if fidelity is None:
        nodes.append(helper.make_node("Identity", ["soft"], ["output"]))
    else:
        inputs.append(helper.make_tensor_value_info("weight", kinds[1], fidelity))
        nodes.append(helper.make_node("Cast", ["weight"], ["share"], to=FLOAT))
        nodes.append(helper.make_node("Mul", ["soft", "share"], ["output"]))
    result = helper.make_tensor_value_info("output", FLOAT, out)
    graph = helper.make_graph(nodes, "tiny", inputs, [result], [numpy_helper.from_array(weight, "conv.weight")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def save(tmp_path):
    def write(model: Any, name: str = "restorer.onnx") -> Path:
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.mark.parametrize("fidelity", [None, (), (1,), ("n",), (1, 1)])
@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_the_inputs_of_a_restorer_are_read_from_its_file(save, fidelity, kind):
    path = save(network(fidelity=fidelity, kinds=(FLOAT, kind)))
    assert read_restorer(path) == ("ONNX", path)
    signature = input_signature(path)
    shape = None if fidelity is None else tuple(1 if size == "n" else size for size in fidelity)
    assert signature == InputSignature(256, shape)
    face = np.random.default_rng(0).uniform(-1, 1, FACE).astype(np.float32)
    for device in ("cpu", "onnxruntime"):
        if device == "onnxruntime":
            pytest.importorskip("onnxruntime", reason="the other device")
        (made,) = open_session(path, device=device).run(signature.arrays(face, 0.25))
        assert np.allclose(made, face * (0.5 if fidelity is None else 0.125), atol=1e-6)


@pytest.mark.parametrize("fidelity", [None, (), (1,)])
def test_the_converter_copies_the_file_and_runs_it(save, tmp_path, fidelity):
    path = save(network(fidelity=fidelity))
    (tmp_path / "made").mkdir()
    _, content = RESTORER.read(path)
    (tmp_path / "made" / NETWORK).write_bytes(RESTORER.build(NETWORK, content))
    RESTORER.smoke_test(tmp_path / "made")
    assert (tmp_path / "made" / NETWORK).read_bytes() == path.read_bytes()


def test_a_batch_of_any_size_is_accepted(save):
    assert input_signature(save(network(("n", 3, 256, 256), ("n", 3, 256, 256)))).side == 256


def test_weights_that_old_files_list_among_the_inputs_are_ignored(save):
    listed = onnx.helper.make_tensor_value_info("conv.weight", FLOAT, (3, 3, 3, 3))
    assert input_signature(save(network(fidelity=(1,), more=(listed,)))) == InputSignature(256, (1,))


def test_the_output_shape_may_be_unspecified(save):
    assert input_signature(save(network(out=("n", "c", "h", "w")))).side == 256


SECOND = (onnx.helper.make_tensor_value_info("other", FLOAT, FACE),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"face": (1, 3, 128, 128), "out": (1, 3, 128, 128)}, "128 x 128"),
        ({"face": (1, 3, 4096, 4096), "out": (1, 3, 4096, 4096)}, "4096 x 4096"),
        ({"face": (1, 3, 256, 320), "out": (1, 3, 256, 320)}, "256 x 320"),
        ({"out": (1, 3, 512, 512)}, "expected a square"),
        ({"face": (1, 3, "h", "w"), "out": (1, 3, "h", "w")}, "any x any"),
        ({"face": (1, 3, 256, "w"), "out": (1, 3, 256, "w")}, "256 x any"),
        ({"face": (2, 3, 256, 256), "out": (2, 3, 256, 256)}, "maps a face"),
        ({"face": (1, 1, 256, 256)}, "maps a face"),
        ({"face": (3, 256, 256)}, "maps a face"),
        ({"face": None}, "maps a face"),
        ({"more": SECOND}, "maps a face"),
        ({"kinds": (INT64, DOUBLE)}, "maps a face"),
        ({"fidelity": (512,)}, "not a single number"),
        ({"fidelity": (1,), "kinds": (FLOAT, INT64)}, "not a single number"),
    ],
    ids=str,
)
def test_other_models_are_refused_in_one_line(save, changes, message):
    with pytest.raises(CheckpointMismatch, match=message) as caught:
        read_restorer(save(network(**changes)))
    assert "\n" not in str(caught.value)


def test_weights_in_another_file_are_refused(save):
    model = network()
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(CheckpointRefused, match="another file"):
        read_restorer(save(model))


def test_constants_in_another_file_are_refused_too(save):
    model = network()
    tensor = onnx.TensorProto(data_type=FLOAT, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="beside.bin")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["unused"], value=tensor))
    with pytest.raises(CheckpointRefused, match="another file"):
        read_restorer(save(model))


def test_a_file_that_is_not_onnx_is_refused(tmp_path):
    path = tmp_path / "restorer.pth"
    path.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(CheckpointMismatch, match="not ONNX"):
        read_restorer(path)


def test_a_truncated_file_is_refused_at_any_length(save):
    content = network(fidelity=(1,)).SerializeToString()
    path = save(network())
    for length in range(2, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(LipsyncError):
            read_restorer(path)


@pytest.mark.parametrize("content", [b"", b"\x08", b"\x08\x08:\x02\x5a\x7f", b"\xff" * 40, bytes(200), b"\x08\x08"])
def test_a_damaged_file_in_the_store_is_refused(tmp_path, content):
    path = tmp_path / NETWORK
    path.write_bytes(content)
    with pytest.raises((CheckpointTruncated, CheckpointMismatch)):
        input_signature(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (network(scale=float("nan")), "NaN or infinite"),
        (network(out=("n", "c", "h", "w")), "produced shape"),
        (network(), "does not run"),
    ],
)
def test_a_restorer_without_a_valid_output_is_refused(tmp_path, model, message):
    if "shape" in message:
        model.graph.node[0].attribute[0].ints[:] = [0] * 4
    if "does not run" in message:
        model.graph.node[1].op_type = "Nonsense"
    (tmp_path / NETWORK).write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointInvalid, match=message):
        RESTORER.smoke_test(tmp_path)
