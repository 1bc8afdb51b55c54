"""Whether an ONNX file is a face restorer, and what it takes."""

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
RESTORER = next(recipe for recipe in CONVERTERS if recipe.kind == "restorer")


def network(
    face: Any = FACE,
    out: Any = FACE,
    told: Any = None,
    more: tuple[Any, ...] = (),
    kinds: tuple[int, int] = (FLOAT, DOUBLE),
    scale: float = 0.5,
) -> Any:
    """One convolution; ``told``: the shape of CodeFormer's second input, by which the result is multiplied then."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weight = np.zeros((3, 3, 3, 3), np.float32)
    weight[range(3), range(3), 1, 1] = scale
    nodes = [helper.make_node("Conv", ["input", "conv.weight"], ["soft"], pads=[1] * 4)]
    inputs = [helper.make_tensor_value_info("input", kinds[0], face), *more]
    if told is None:
        nodes.append(helper.make_node("Identity", ["soft"], ["output"]))
    else:
        inputs.append(helper.make_tensor_value_info("weight", kinds[1], told))
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


@pytest.mark.parametrize("told", [None, (), (1,), ("n",), (1, 1)])
@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_a_restorer_is_known_and_given_what_it_takes(save, told, kind):
    path = save(network(told=told, kinds=(FLOAT, kind)))
    assert read_restorer(path) == ("ONNX", path)
    ports = input_signature(path)
    shape = None if told is None else tuple(1 if size == "n" else size for size in told)
    assert ports == InputSignature(256, shape)
    face = np.random.default_rng(0).uniform(-1, 1, FACE).astype(np.float32)
    for device in ("cpu", "onnxruntime"):
        if device == "onnxruntime":
            pytest.importorskip("onnxruntime", reason="the other device")
        (made,) = open_session(path, device=device).run(ports.arrays(face, 0.25))
        assert np.allclose(made, face * (0.5 if told is None else 0.125), atol=1e-6)


@pytest.mark.parametrize("told", [None, (), (1,)])
def test_the_recipe_takes_the_file_as_it_is_and_tries_it(save, tmp_path, told):
    path = save(network(told=told))
    (tmp_path / "made").mkdir()
    _, content = RESTORER.read(path)
    (tmp_path / "made" / NETWORK).write_bytes(RESTORER.make(NETWORK, content))
    RESTORER.smoke(tmp_path / "made")
    assert (tmp_path / "made" / NETWORK).read_bytes() == path.read_bytes()


def test_any_number_of_faces_at_once_is_no_matter(save):
    assert input_signature(save(network(("n", 3, 256, 256), ("n", 3, 256, 256)))).side == 256


def test_weights_that_old_files_list_among_the_inputs_are_none(save):
    listed = onnx.helper.make_tensor_value_info("conv.weight", FLOAT, (3, 3, 3, 3))
    assert input_signature(save(network(told=(1,), more=(listed,)))) == InputSignature(256, (1,))


def test_what_comes_out_may_be_left_open(save):
    assert input_signature(save(network(out=("n", "c", "h", "w")))).side == 256


SECOND = (onnx.helper.make_tensor_value_info("other", FLOAT, FACE),)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"face": (1, 3, 128, 128), "out": (1, 3, 128, 128)}, "128 x 128"),
        ({"face": (1, 3, 4096, 4096), "out": (1, 3, 4096, 4096)}, "4096 x 4096"),
        ({"face": (1, 3, 256, 320), "out": (1, 3, 256, 320)}, "256 x 320"),
        ({"out": (1, 3, 512, 512)}, "faces of one size"),
        ({"face": (1, 3, "h", "w"), "out": (1, 3, "h", "w")}, "any x any"),
        ({"face": (1, 3, 256, "w"), "out": (1, 3, 256, "w")}, "256 x any"),
        ({"face": (2, 3, 256, 256), "out": (2, 3, 256, 256)}, "one face"),
        ({"face": (1, 1, 256, 256)}, "one face"),
        ({"face": (3, 256, 256)}, "one face"),
        ({"face": None}, "one face"),
        ({"more": SECOND}, "one face"),
        ({"kinds": (INT64, DOUBLE)}, "one face"),
        ({"told": (512,)}, "not one number"),
        ({"told": (1,), "kinds": (FLOAT, INT64)}, "not one number"),
    ],
    ids=str,
)
def test_what_is_no_restorer_is_told_in_a_line(save, wrong, told):
    with pytest.raises(CheckpointMismatch, match=told) as caught:
        read_restorer(save(network(**wrong)))
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


def test_what_is_no_onnx_is_told(tmp_path):
    path = tmp_path / "restorer.pth"
    path.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(CheckpointMismatch, match="not ONNX"):
        read_restorer(path)


def test_a_file_that_is_cut_off_anywhere_is_told(save):
    content = network(told=(1,)).SerializeToString()
    path = save(network())
    for length in range(2, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(LipsyncError):
            read_restorer(path)


@pytest.mark.parametrize("content", [b"", b"\x08", b"\x08\x08:\x02\x5a\x7f", b"\xff" * 40, bytes(200), b"\x08\x08"])
def test_a_damaged_file_in_the_store_is_told(tmp_path, content):
    path = tmp_path / NETWORK
    path.write_bytes(content)
    with pytest.raises((CheckpointTruncated, CheckpointMismatch)):
        input_signature(path)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (network(scale=float("nan")), "no numbers"),
        (network(out=("n", "c", "h", "w")), "not another of the same size"),
        (network(), "does not run"),
    ],
)
def test_a_restorer_that_gives_no_face_is_told(tmp_path, model, told):
    if "same size" in told:
        model.graph.node[0].attribute[0].ints[:] = [0] * 4
    if "does not run" in told:
        model.graph.node[1].op_type = "Nonsense"
    (tmp_path / NETWORK).write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointInvalid, match=told):
        RESTORER.smoke(tmp_path)
