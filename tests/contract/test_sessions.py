"""The contract of all sessions, on every device."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lipsync.errors import DeviceUnavailable, InferenceFailed, ModelCorrupt, ModelMissing, OptionInvalid
from lipsync.models.devices import DEVICES, PRECISIONS, choose_runtime, open_session

onnx = pytest.importorskip("onnx", reason="makes the networks")
helper = onnx.helper
FLOAT, HALF, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64
HTML = b"<!DOCTYPE html><html><body>404: there is no such file</body></html>"


def port(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def network(nodes, inputs, outputs, **constants):
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def reason_absent(device: str) -> str:
    try:
        choose_runtime(device, "fp32")
    except DeviceUnavailable as exc:
        return str(exc)
    return ""


ABSENT = {name: reason for name in DEVICES if (reason := reason_absent(name))}


@pytest.fixture(scope="module", params=[name for name in DEVICES if name not in ABSENT])
def device(request):
    return request.param


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_probed(name):
    if name in ABSENT:
        pytest.skip(f"device not tested: {ABSENT[name]}")
    assert choose_runtime(name, "fp32").device == name


@pytest.fixture(scope="module")
def subtract():
    """d = a - b, any number of rows."""
    ports = [port(name, FLOAT, ["n", 2]) for name in "abd"]
    return network([helper.make_node("Sub", ["a", "b"], ["d"])], ports[:2], ports[2:])


@pytest.fixture(scope="module")
def convolve():
    """A convolution and a ReLU, for any batch size."""
    return convolution(np.float32)


def convolution(dtype):
    kind = FLOAT if dtype == np.float32 else HALF
    weights = np.random.default_rng(5).standard_normal((4, 3, 3, 3)).astype(dtype) / 5
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4), helper.make_node("Relu", ["c"], ["y"])]
    ports = [port("x", kind, ["n", 3, 8, 8]), port("y", kind, ["n", 4, 8, 8])]
    return network(nodes, ports[:1], ports[1:], w=weights)


def convolved(images):
    """The result of ``convolve``, computed with NumPy."""
    weights = np.random.default_rng(5).standard_normal((4, 3, 3, 3)).astype(np.float32) / 5
    padded = np.pad(images.astype(np.float32), ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.maximum(np.einsum("nchwij,ocij->nohw", views, weights), 0)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(6).standard_normal((5, 3, 8, 8)).astype(np.float32)


def test_inputs_are_in_the_models_order(device, subtract):
    (result,) = open_session(subtract, device=device).run(
        [np.full((3, 2), 7, np.float32), np.full((3, 2), 2, np.float32)]
    )
    assert np.array_equal(result, np.full((3, 2), 5))


def test_outputs_are_in_the_models_order(device):
    nodes = [helper.make_node(kind, ["x"], [name]) for kind, name in (("Neg", "z"), ("Abs", "m"), ("Identity", "a"))]
    model = network(nodes, [port("x", FLOAT, ["n"])], [port(name, FLOAT, ["n"]) for name in "zma"])
    negative, absolute, same = open_session(model, device=device).run([np.array([-3, 4], np.float32)])
    assert (negative.tolist(), absolute.tolist(), same.tolist()) == ([3, -4], [3, 4], [-3, 4])


def test_batches_of_any_size_equal_single_runs(device, convolve, images):
    session = open_session(convolve, device=device)
    alone = [session.run([image[None]])[0][0] for image in images]
    for count in (5, 1, 3):
        (result,) = session.run([images[:count]])
        assert result.shape == (count, 4, 8, 8)
        assert np.abs(result - alone[:count]).max() < 1e-5


def test_results_are_correct(device, convolve, images):
    (result,) = open_session(convolve, device=device).run([images])
    assert np.abs(result - convolved(images)).max() < 1e-5


def test_fixed_shapes_are_enforced(device, convolve, images):
    session = open_session(convolve, device=device, shapes=(2, 3, 8, 8))
    assert session.run([images[:2]])[0].shape == (2, 4, 8, 8)
    with pytest.raises(InferenceFailed):
        session.run([images[:3]])


@pytest.mark.parametrize("shapes", [{"y": (1, 3, 8, 8)}, {"x": (1, 5, 8, 8)}, {"x": (1, 3)}])
def test_unsuitable_shapes_are_refused(device, convolve, shapes):
    with pytest.raises(ModelCorrupt):
        open_session(convolve, device=device, shapes=shapes)


def test_one_shape_for_two_inputs_is_refused(device, subtract):
    with pytest.raises(ModelCorrupt):
        open_session(subtract, device=device, shapes=(1, 2))


def test_results_are_not_overwritten_by_later_runs(device, convolve, images):
    session = open_session(convolve, device=device, shapes=(1, 3, 8, 8))
    (first,) = session.run([images[:1]])
    kept = first.copy()
    for image in images[1:]:
        session.run([image[None]])
    assert np.array_equal(first, kept)
    first[:] = 0  # the result belongs to the caller
    assert np.abs(session.run([images[:1]])[0] - kept).max() < 1e-6


@pytest.mark.parametrize("streams", [1, 2])
def test_many_threads_share_a_session(device, convolve, images, streams):
    session = open_session(convolve, device=device, threads=2, streams=streams)
    expected = convolved(images)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda k: session.run([images[k % 5][None]])[0][0], range(60)))
    for k, result in enumerate(results):
        assert np.abs(result - expected[k % 5]).max() < 1e-5


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [np.ones((1, 2), np.float32)],
        [np.ones((1, 2), np.float32)] * 3,
        [np.ones((9, 9), np.float32)] * 2,
        [np.ones((1, 2, 1), np.float32)] * 2,
        [np.ones((3, 2), np.float32), np.ones((2, 2), np.float32)],
        [np.array([["a", "b"]])] * 2,
        [np.array([[1j, 2j]])] * 2,
        [np.array([[None, 2]])] * 2,
    ],
)
def test_wrong_inputs_fail_and_the_session_remains_usable(device, subtract, inputs):
    session = open_session(subtract, device=device)
    with pytest.raises(InferenceFailed):
        session.run(inputs)
    assert session.run([np.ones((1, 2), np.float32)] * 2)[0].tolist() == [[0, 0]]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_numbers_of_any_width_are_cast_and_come_out_as_float32(device, subtract, kind):
    (result,) = open_session(subtract, device=device).run([np.full((2, 2), 9, kind), np.full((2, 2), 4, kind)])
    assert (result.dtype, result.tolist()) == (np.float32, [[5, 5], [5, 5]])


def test_views_with_any_strides_are_accepted(device, subtract):
    backwards = np.arange(6, dtype=np.float32).reshape(2, 3).T[::-1]
    backwards.flags.writeable = False
    (result,) = open_session(subtract, device=device).run([backwards, np.zeros((3, 2), np.float32)])
    assert result.tolist() == [[2, 5], [1, 4], [0, 3]]


def test_integers_stay_integers_and_floats_are_refused(device):
    nodes = [helper.make_node("Add", ["i", "i"], ["j"])]
    session = open_session(network(nodes, [port("i", INT64, ["n"])], [port("j", INT64, ["n"])]), device=device)
    (result,) = session.run([np.array([1, 2], np.int32)])
    assert result.dtype.kind == "i"
    assert result.tolist() == [2, 4]
    with pytest.raises(InferenceFailed):
        session.run([np.array([1.5], np.float32)])


def test_a_graph_in_half_precision_accepts_and_returns_float32(device, images):
    (result,) = open_session(convolution(np.float16), device=device).run([images])
    assert result.dtype == np.float32
    assert np.abs(result - convolved(images)).max() < 2e-2


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"not a network", HTML])
def test_other_files_are_refused(device, content, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    for model in (content, path):
        with pytest.raises(ModelCorrupt):
            open_session(model, device=device)


def test_a_truncated_model_is_refused(device, convolve):
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(ModelCorrupt):
            open_session(convolve[: int(share * len(convolve))], device=device)


def test_an_unknown_layer_is_refused(device):
    graph = helper.make_graph(
        [helper.make_node("Frobnicate", ["x"], ["y"])], "g", [port("x", FLOAT, [1])], [port("y", FLOAT, [1])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(ModelCorrupt):
        open_session(model.SerializeToString(), device=device)


def test_a_missing_file_is_named(device, tmp_path):
    with pytest.raises(ModelMissing, match=r"gone\.onnx"):
        open_session(tmp_path / "gone.onnx", device=device)


def test_a_model_is_read_from_a_file(device, subtract, tmp_path):
    path = tmp_path / "größer als 1.onnx"
    path.write_bytes(subtract)
    assert open_session(path, device=device).run([np.ones((4, 2), np.float32)] * 2)[0].shape == (4, 2)


def test_a_cache_directory_is_created_and_changes_no_result(device, convolve, images, tmp_path):
    cache = tmp_path / "new" / "cache"
    for _ in range(2):
        (result,) = open_session(convolve, device=device, cache_dir=cache).run([images])
        assert np.abs(result - convolved(images)).max() < 1e-5
    assert cache.is_dir()


def test_a_cache_separates_models_of_the_same_architecture(device, tmp_path):
    ports = [port("x", FLOAT, ["n", 1]), port("y", FLOAT, ["n", 1])]
    for factor in (2, 3):
        nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
        model = network(nodes, ports[:1], ports[1:], w=np.full((1, 1), factor, np.float32))
        (result,) = open_session(model, device=device, cache_dir=tmp_path).run([np.ones((1, 1), np.float32)])
        assert result.item() == factor


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_reported_precision_is_used(device, images, precision):
    model = convolution(np.float16 if precision == "fp16" else np.float32)
    try:
        session = open_session(model, device=device, precision=precision)
    except DeviceUnavailable as exc:
        pytest.skip(str(exc))
    assert (session.device, session.precision) == (device, precision)
    off = np.abs(session.run([images])[0] - convolved(images)).max()
    assert off < {"fp32": 1e-5, "bf16": 5e-2, "fp16": 2e-2}[precision]
    assert precision == "fp32" or off > 1e-5


@pytest.mark.parametrize("wrong", [{"streams": 0}, {"threads": 0}, {"precision": "auto"}, {"precision": "int8"}])
def test_invalid_options_are_refused(device, subtract, wrong):
    with pytest.raises(OptionInvalid):
        open_session(subtract, device=device, **wrong)


OUT_OF_MEMORY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from lipsync.errors import OutOfMemory
from lipsync.models.devices import open_session

device, streams, model = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
opened = [open_session(source, device=device, streams=streams) for source in (model, model.read_bytes())]
small, big = np.ones((2, 1), np.float32), np.ones((1 << 20, 1), np.float32)
for session in opened:
    session.run([small])
if device in ("cpu", "onnxruntime"):
    import resource
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30),) * 2)

def attempt(k):
    try:
        result = session.run([big if k % 3 == 0 else small])
    except OutOfMemory:
        return "out of memory" if k % 3 == 0 else "error of another call"
    return str(result[0].shape)

for session in opened:
    found = [attempt(k) for k in range(6)]
    with ThreadPoolExecutor(3) as pool:
        found += pool.map(attempt, range(6, 24))
    assert found == ["out of memory", "(2, 65536)", "(2, 65536)"] * 8, found
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of the process in a Linux way")
@pytest.mark.parametrize("streams", ["1", "2"])
def test_out_of_memory_is_reported_and_a_smaller_batch_works_afterwards(device, streams, tmp_path):
    """A model with 65536 outputs per input, run on a million inputs: 256 GiB."""
    ports = [port("x", FLOAT, ["n", 1]), port("y", FLOAT, ["n", 1 << 16])]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    model = tmp_path / "greedy.onnx"
    model.write_bytes(network(nodes, ports[:1], ports[1:], w=np.ones((1, 1 << 16), np.float32)))
    command = [sys.executable, "-W", "error", "-c", OUT_OF_MEMORY, device, streams, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("hwloc/")]  # where /sys is missing
    assert (done.returncode, done.stdout, complaints) == (0, "", [])


def test_both_cpu_runtimes_agree(convolve, images):
    try:
        results = [open_session(convolve, device=name).run([images])[0] for name in ("cpu", "onnxruntime")]
    except DeviceUnavailable as exc:
        pytest.skip(str(exc))
    assert np.abs(results[0] - results[1]).max() < 1e-5
