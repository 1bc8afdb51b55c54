"""The face networks with direct convolutions: the same landmarks, without batches of matrix products."""

import platform

import numpy as np
import openvino
import pytest

from lipsync.faces.landmarker import _bundled
from lipsync.models.direct_convolutions import with_direct_convolutions
from lipsync.models.openvino_session import shared_core

pytestmark = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="for x86 processors")


def convolutions_of(model):
    nodes = (node.get_rt_info() for node in model.get_runtime_model().get_ordered_ops())
    return {info["primitiveType"].astype(str) for info in nodes if "Convolution" in info["layerType"].astype(str)}


@pytest.fixture
def networks(tmp_path):
    core, path = shared_core(), tmp_path / "mesh.tflite"
    (content,) = _bundled("face_landmarks_detector.tflite")
    path.write_bytes(content)
    original, direct = core.read_model(path), with_direct_convolutions(core, core.read_model(path))
    for network in (original, direct):
        network.reshape([1, 256, 256, 3])
    properties = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    return [core.compile_model(network, "CPU", properties) for network in (original, direct)]


def test_no_convolution_is_a_batch_of_matrix_products(networks):
    _, direct = networks
    assert convolutions_of(direct)
    assert not any(kind.startswith("brgconv") for kind in convolutions_of(direct))


def test_the_landmarks_stay_the_same_after_a_round_trip_through_the_cache(networks):
    original, direct = networks
    stored = openvino.Tensor(np.frombuffer(direct.export_model().getvalue(), np.uint8).copy())
    restored = shared_core().import_model(stored, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    view = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
    before, after = (next(iter(model([view]).values())) for model in (original, restored))
    assert convolutions_of(restored) == convolutions_of(direct)
    np.testing.assert_allclose(after, before, atol=0.01)  # pixels
