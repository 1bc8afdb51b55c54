from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines.wav2lip.generator import expected_weights, to_onnx
from lipsync.models.session import open_session

pytest.importorskip("onnx", reason="needs the wav2lip extra")

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "golden.npz"


def made_up(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule by which the original's own figures were computed, too."""
    dice = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return dice.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith("running_mean"):
        return (0.1 * dice.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        base = 1.0 if name.endswith("conv_block.1.weight") else 0.0
        return (base + 0.1 * dice.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (dice.standard_normal(shape) * np.sqrt(1.0 / fan_in)).astype(np.float32)


@pytest.fixture(scope="module")
def weights():
    return {name: made_up(name, shape) for name, shape in expected_weights().items()}


@pytest.fixture(scope="module")
def session(weights):
    return open_session(to_onnx(weights), threads=1)


def test_it_has_as_many_parameters_as_the_original():
    counted = [shape for name, shape in expected_weights().items() if "running" not in name]
    assert sum(int(np.prod(shape)) for shape in counted) == 36_298_035


@pytest.mark.parametrize("frames", [1, 3])
def test_any_number_of_frames_at_once(session, frames):
    dice = np.random.default_rng(0)
    mel = dice.standard_normal((frames, 1, 80, 16)).astype(np.float32)
    face = dice.random((frames, 6, 96, 96)).astype(np.float32)
    (out,) = session.run([mel, face])
    assert out.shape == (frames, 3, 96, 96)
    assert (out > 0).all()
    assert (out < 1).all()
    (alone,) = session.run([mel[:1], face[:1]])
    assert np.abs(alone[0] - out[0]).max() < 1e-4


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs what the original computed")
def test_it_computes_what_the_original_computed(session):
    with np.load(GOLDEN) as golden:
        (out,) = session.run([golden["mel"], golden["face"]])
        assert np.abs(out - golden["out"]).max() <= 1e-4


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs what the original computed")
def test_half_precision_is_near_enough(weights):
    with np.load(GOLDEN) as golden:
        inputs = [golden["mel"].astype(np.float16), golden["face"].astype(np.float16)]
        (out,) = open_session(to_onnx(weights, half=True), threads=1).run(inputs)
        assert np.abs(out.astype(np.float32) - golden["out"]).mean() * 255 <= 0.5
