from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from lipsync.errors import DeviceUnavailable, InferenceFailed, ModelCorrupt, ModelMissing, OptionInvalid
from lipsync.models import openvino_session
from lipsync.models.devices import DEVICES, PRECISIONS, Runtime, choose_runtime, open_session
from lipsync.models.openvino_session import shared_core
from lipsync.models.session import start


def field(number: int, content: bytes | int) -> bytes:
    """One field of a protocol buffer, all lengths and values under 128."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


def value(name: bytes) -> bytes:
    """A float tensor (n, 2) by name."""
    shape = field(1, field(2, b"n")) + field(1, field(1, 2))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


@pytest.fixture(scope="session")
def adder() -> bytes:
    """An ONNX network by hand: sum = a + b."""
    node = field(1, b"a") + field(1, b"b") + field(2, b"s") + field(4, b"Add")
    graph = field(1, node) + field(2, b"g") + field(11, value(b"a")) + field(11, value(b"b")) + field(12, value(b"s"))
    return field(1, 8) + bytes([7 << 3 | 2, len(graph)]) + graph + field(8, field(2, 13))


def test_arrays_go_in_and_come_out(adder):
    session = open_session(adder, shapes={"a": (3, 2), "b": (3, 2)}, threads=1)
    (result,) = session.run([np.ones((3, 2), np.float32), np.full((3, 2), 2, np.float32)])
    assert np.array_equal(result, np.full((3, 2), 3))


def test_a_network_comes_from_a_file_too_and_sizes_may_stay_open(adder, tmp_path):
    path = tmp_path / "adder.onnx"
    path.write_bytes(adder)
    session = open_session(path, threads=1)
    for count in (1, 4):
        (result,) = session.run([np.ones((count, 2), np.float32)] * 2)
        assert result.shape == (count, 2)


def test_results_stay_what_they_were(adder):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=1)
    first = session.run([np.ones((1, 2), np.float32)] * 2)[0]
    session.run([np.full((1, 2), 50, np.float32)] * 2)
    assert np.array_equal(first, [[2, 2]])


def test_many_threads_share_a_session(adder):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=2, streams=2)
    with ThreadPoolExecutor(4) as pool:
        inputs = [[np.full((1, 2), k, np.float32)] * 2 for k in range(40)]
        results = list(pool.map(session.run, inputs))
    assert [int(result[0][0, 0]) for result in results] == [2 * k for k in range(40)]


def test_runs_in_the_background_give_the_same_results_in_any_order(adder):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=2, streams=2)
    running = [start(session, [np.full((1, 2), k, np.float32)] * 2) for k in range(9)]
    assert np.array_equal(session.run([np.ones((1, 2), np.float32)] * 2)[0], [[2, 2]])
    results = {k: running[k].result()[0] for k in reversed(range(9))}
    assert all(np.array_equal(result, [[2 * k, 2 * k]]) for k, result in results.items())


def test_a_run_in_the_background_may_be_discarded(adder):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=1)
    running = start(session, [np.ones((1, 2), np.float32)] * 2)
    running.discard()
    running.discard()
    with pytest.raises(InferenceFailed):
        running.result()
    assert session.run([np.ones((1, 2), np.float32)] * 2)[0].shape == (1, 2)


def test_wrong_inputs_fail_in_the_background_too(adder):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=1)
    with pytest.raises(InferenceFailed):
        start(session, [np.ones((9, 9), np.float32)] * 2).result()
    assert start(session, [np.ones((1, 2), np.float32)] * 2).result()[0].shape == (1, 2)


def test_a_session_without_a_background_runs_when_its_result_is_asked_for():
    class Plain:
        device, precision, runs = "cpu", "fp32", 0

        def run(self, inputs):
            self.runs += 1
            return [inputs[0] + 1]

    session = Plain()
    running = start(session, [np.ones(1)])
    assert session.runs == 0
    assert running.result()[0] == 2


def test_tensorflow_lite_comes_from_bytes():
    bundle = resources.files("lipsync.faces").joinpath("data/face_landmarker.task")
    with bundle.open("rb") as file, ZipFile(file) as archive:
        session = open_session(archive.read("face_detector.tflite"), shapes=(1, 128, 128, 3), threads=1)
    boxes, scores = session.run([np.zeros((1, 128, 128, 3), np.float32)])
    assert boxes.shape == (1, 896, 16)
    assert scores.shape == (1, 896, 1)


def test_a_cache_keeps_compiled_networks(adder, tmp_path):
    open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=1, cache_dir=tmp_path)
    assert list(tmp_path.iterdir())


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """The folder of compiled networks."""
    monkeypatch.setattr(openvino_session, "cache_folder", lambda: tmp_path / "compiled")
    return tmp_path / "compiled"


def opened(network: bytes | Path, **options):
    session = open_session(network, shapes={"a": (1, 2), "b": (1, 2)}, threads=1, **options)
    assert np.array_equal(session.run([np.ones((1, 2), np.float32)] * 2)[0], [[2, 2]])


def test_a_network_given_as_bytes_is_compiled_once(adder, compiled, monkeypatch):
    opened(adder)
    opened(adder, streams=2)
    assert len(list(compiled.iterdir())) == 2
    monkeypatch.setattr(openvino_session, "_read", None)
    opened(adder)
    opened(adder, streams=2)


@pytest.mark.parametrize("bundled", [True, False])
def test_of_files_only_those_of_the_package_are_kept_compiled(adder, compiled, tmp_path, monkeypatch, bundled):
    path = tmp_path / "package" / "network.onnx"
    path.parent.mkdir()
    path.write_bytes(adder)
    monkeypatch.setattr(openvino_session, "PACKAGE", path.parent if bundled else tmp_path / "elsewhere")
    opened(path)
    assert compiled.exists() == bundled


def test_a_compiled_network_of_no_use_is_replaced(adder, compiled):
    opened(adder)
    (path,) = compiled.iterdir()
    useless = b"not a network"
    path.write_bytes(hashlib.sha256(useless).digest() + useless)
    opened(adder)
    assert len(path.read_bytes()) > 100
    path.write_bytes(path.read_bytes()[:-1])
    opened(adder)


def test_a_network_is_compiled_where_nothing_can_be_kept(adder, compiled):
    compiled.write_bytes(b"a file where the folder should be")
    opened(adder)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelMissing, match=r"gone\.onnx"):
        open_session(tmp_path / "gone.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x1c\0\0\0TFL3 and then nothing of the kind"])
def test_other_files_are_refused(content, tmp_path):
    with pytest.raises(ModelCorrupt):
        open_session(content)
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt):
        open_session(path)


def test_unsuitable_shapes_are_refused(adder):
    with pytest.raises(ModelCorrupt):
        open_session(adder, shapes={"a": (3, 2), "c": (3, 2)})


@pytest.mark.parametrize("inputs", [[], [np.ones((1, 2), np.float32)], [np.ones((9, 9), np.float32)] * 2])
def test_wrong_inputs_fail_and_the_session_remains_usable(adder, inputs):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=1)
    with pytest.raises(InferenceFailed):
        session.run(inputs)
    assert session.run([np.ones((1, 2), np.float32)] * 2)[0].shape == (1, 2)


def test_importing_the_package_loads_no_runtime_and_opening_a_model_sends_no_telemetry(tmp_path):
    code = """
import sys
import lipsync.faces.tracker, lipsync.models.devices
assert not {"openvino", "onnxruntime"} & set(sys.modules)
from lipsync.models.openvino_session import shared_core
shared_core()
assert "openvino" in sys.modules
assert not any(name.startswith("openvino_telemetry") for name in sys.modules)
"""
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, env=environment)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="session")
def capabilities():
    return shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def is_available(device, precision="fp32"):
    try:
        return choose_runtime(device, precision) == Runtime(device, precision)
    except DeviceUnavailable:
        return False


def test_the_cpu_is_available_and_uses_bf16_where_supported(capabilities):
    assert choose_runtime("cpu") == Runtime("cpu", "bf16" if "BF16" in capabilities else "fp32")
    assert choose_runtime("cpu", "fp32") == Runtime("cpu", "fp32")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_unsupported_precision_is_refused(capabilities, precision):
    if precision.upper() in capabilities:
        assert choose_runtime("cpu", precision) == Runtime("cpu", precision)
        return
    with pytest.raises(DeviceUnavailable, match=precision):
        choose_runtime("cpu", precision)
    with pytest.raises(DeviceUnavailable, match=precision):
        open_session(b"", precision=precision)


def test_a_gpu_is_preferred_to_the_cpu():
    card = next((name for name in ("cuda", "coreml", "directml") if is_available(name, "fp16")), None)
    assert choose_runtime() == (Runtime(card, "fp16") if card else choose_runtime("cpu"))
    assert choose_runtime("auto", "fp32").device == (card or "cpu")


def test_no_gpu_supports_bf16(capabilities):
    for device in DEVICES:
        if device != "cpu":
            with pytest.raises(DeviceUnavailable):
                choose_runtime(device, "bf16")
    if "BF16" in capabilities:
        assert choose_runtime("auto", "bf16") == Runtime("cpu", "bf16")


def test_onnx_runtime_uses_fp32_on_the_cpu():
    pytest.importorskip("onnxruntime")
    assert choose_runtime("onnxruntime") == Runtime("onnxruntime", "fp32")
    with pytest.raises(DeviceUnavailable, match="fp16"):
        choose_runtime("onnxruntime", "fp16")


@pytest.mark.parametrize("device", sorted(set(DEVICES) - {"cpu"}))
def test_an_unavailable_device_says_how_to_install_it(device):
    if is_available(device):
        pytest.skip(f"{device} is available")
    with pytest.raises(DeviceUnavailable, match="pip install"):
        choose_runtime(device)
    with pytest.raises(DeviceUnavailable, match="pip install"):
        open_session(b"", device=device)


def test_the_cpu_works_without_onnx_runtime(tmp_path):
    code = """
import sys
sys.modules["onnxruntime"] = None
from lipsync.errors import DeviceUnavailable
from lipsync.models.devices import choose_runtime
assert choose_runtime().device == "cpu"
try:
    choose_runtime("onnxruntime")
except DeviceUnavailable as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert 'pip install "lip-sync-service[onnxruntime]"' in done.stdout


@pytest.mark.parametrize(("device", "precision"), [("gpu", "auto"), ("", "fp32"), ("cpu", "int8"), ("auto", "FP32")])
def test_an_unknown_name_lists_the_choices(device, precision):
    with pytest.raises(OptionInvalid, match=r"auto, (cpu, onnxruntime, cuda|fp32, bf16, fp16)"):
        choose_runtime(device, precision)


def test_the_default_precision_is_the_same_everywhere(adder):
    """By default OpenVINO uses bf16 where the CPU supports it."""
    assert open_session(adder).precision == "fp32"


@pytest.mark.parametrize("device", sorted(set(DEVICES) - {"cpu"}))
def test_tensorflow_lite_runs_on_the_cpu_only(device, tmp_path):
    if not is_available(device):
        pytest.skip(f"{device} is not available")
    path = tmp_path / "network.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3")
    for model in (path, path.read_bytes()):
        with pytest.raises(ModelCorrupt, match="TensorFlow Lite"):
            open_session(model, device=device)
