from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from zipfile import ZipFile

import numpy as np
import pytest

from lipsync.errors import InferenceFailed, ModelCorrupt, ModelMissing
from lipsync.models.session import open_session


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


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ModelMissing, match=r"gone\.onnx"):
        open_session(tmp_path / "gone.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x1c\0\0\0TFL3 and then nothing of the kind"])
def test_what_is_no_network_is_told(content, tmp_path):
    with pytest.raises(ModelCorrupt):
        open_session(content)
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt):
        open_session(path)


def test_shapes_that_do_not_fit_are_told(adder):
    with pytest.raises(ModelCorrupt):
        open_session(adder, shapes={"a": (3, 2), "c": (3, 2)})


@pytest.mark.parametrize("inputs", [[], [np.ones((1, 2), np.float32)], [np.ones((9, 9), np.float32)] * 2])
def test_wrong_inputs_fail_and_the_session_lives_on(adder, inputs):
    session = open_session(adder, shapes={"a": (1, 2), "b": (1, 2)}, threads=1)
    with pytest.raises(InferenceFailed):
        session.run(inputs)
    assert session.run([np.ones((1, 2), np.float32)] * 2)[0].shape == (1, 2)


def test_importing_the_package_loads_no_runtime_and_opening_a_network_reports_nothing_home(tmp_path):
    code = """
import sys
import lipsync.faces.tracker, lipsync.models.session
assert "openvino" not in sys.modules
lipsync.models.session.shared_core()
assert "openvino" in sys.modules
assert not any(name.startswith("openvino_telemetry") for name in sys.modules)
"""
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, env=environment)
    assert not list(tmp_path.iterdir())
