from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines.wav2lip.architecture import (
    SKIPS,
    Folded,
    decoder_graph,
    encoder_graph,
    expected_weights,
    fold,
)
from lipsync.errors import CheckpointInvalid, DeviceUnavailable
from lipsync.models.devices import choose_runtime, open_session

onnx = pytest.importorskip("onnx", reason="needs the wav2lip extra")

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "golden.npz"


@pytest.fixture(scope="module")
def folded(weights):
    return fold(weights)


Generator = Callable[[np.ndarray, np.ndarray], np.ndarray]


def chained(folded: Folded, half: bool = False) -> Generator:
    """Both graphs, one after the other: ``mel`` and ``face`` to ``out``."""
    encoder = open_session(encoder_graph(folded, half), threads=1)
    decoder = open_session(decoder_graph(folded, half), threads=1)
    return lambda mel, face: decoder.run([mel, *encoder.run([face])])[0]


@pytest.fixture(scope="module")
def generator(folded) -> Generator:
    return chained(folded)


def test_the_number_of_parameters_is_the_originals():
    counted = [shape for name, shape in expected_weights().items() if "running" not in name]
    assert sum(int(np.prod(shape)) for shape in counted) == 36_298_035


@pytest.mark.parametrize("frames", [1, 3])
def test_the_batch_size_is_free(generator, frames):
    dice = np.random.default_rng(0)
    mel = dice.standard_normal((frames, 1, 80, 16)).astype(np.float32)
    face = dice.random((frames, 6, 96, 96)).astype(np.float32)
    out = generator(mel, face)
    assert out.shape == (frames, 3, 96, 96)
    assert (out > 0).all()
    assert (out < 1).all()
    alone = generator(mel[:1], face[:1])
    assert np.abs(alone[0] - out[0]).max() < 1e-4


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs reference results of the original")
def test_the_output_matches_the_originals(generator):
    with np.load(GOLDEN) as golden:
        out = generator(golden["mel"], golden["face"])
        assert np.abs(out - golden["out"]).max() <= 1e-4


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs reference results of the original")
def test_half_precision_is_close_to_the_original(folded):
    with np.load(GOLDEN) as golden:
        out = chained(folded, half=True)(golden["mel"].astype(np.float16), golden["face"].astype(np.float16))
        assert np.abs(out.astype(np.float32) - golden["out"]).mean() * 255 <= 0.5


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs reference results of the original")
def test_bfloat16_is_close_to_the_original_if_the_processor_has_it(folded):
    try:
        precision = choose_runtime("cpu", "bf16").precision
    except DeviceUnavailable as exc:
        pytest.skip(str(exc))
    encoder, decoder = (open_session(make(folded), precision=precision) for make in (encoder_graph, decoder_graph))
    with np.load(GOLDEN) as golden:
        (out,) = decoder.run([golden["mel"], *encoder.run([golden["face"]])])
        assert np.abs(out - golden["out"]).mean() * 255 <= 0.5


@pytest.mark.parametrize("half", [False, True])
def test_the_graphs_are_valid_and_their_inputs_and_outputs_named(folded, half):
    encoder, decoder = (make(folded, half) for make in (encoder_graph, decoder_graph))
    for content, inputs, outputs in ((encoder, ["face"], list(SKIPS)), (decoder, ["mel", *SKIPS], ["out"])):
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert [value.name for value in model.graph.input] == inputs
        assert [value.name for value in model.graph.output] == outputs
        kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
        assert kinds == {onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT}


def test_the_skips_have_the_declared_shapes(folded):
    skips = open_session(encoder_graph(folded), threads=1).run([np.zeros((2, 6, 96, 96), np.float32)])
    assert [skip.shape for skip in skips] == [(2, *shape) for shape in SKIPS.values()]


def test_an_invalid_normalisation_is_reported_by_name(weights):
    name = "audio_encoder.3.conv_block.1.running_var"
    with pytest.raises(CheckpointInvalid, match=r"audio_encoder\.3 "):
        fold({**weights, name: np.full(64, -1, np.float32)})
