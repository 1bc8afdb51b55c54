"""SRVGGNetCompact's graph, against the architecture in NumPy and, if installed, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lipsync.enhancers.upscale.srvgg import read_srvgg, srvgg_graph
from lipsync.errors import CheckpointInvalid, CheckpointMismatch
from lipsync.models.devices import open_session

onnx = pytest.importorskip("onnx", reason="makes the networks")

FEATURES, MIDDLE = 8, 3


def made_up(factor: int) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(0)
    weights, inputs = {}, 3
    for layer in range(MIDDLE + 2):
        outputs = FEATURES if layer <= MIDDLE else 3 * factor**2
        noise = dice.standard_normal((outputs, inputs, 3, 3)) / np.sqrt(9 * inputs)
        weights[f"body.{2 * layer}.weight"] = noise.astype(np.float32)
        weights[f"body.{2 * layer}.bias"] = (0.2 * dice.standard_normal(outputs)).astype(np.float32)
        if layer <= MIDDLE:
            weights[f"body.{2 * layer + 1}.weight"] = dice.uniform(-0.3, 0.5, outputs).astype(np.float32)
        inputs = outputs
    return weights


def computed(weights: Mapping[str, np.ndarray], image: np.ndarray, factor: int) -> np.ndarray:
    """The architecture: (n, 3, h, w) to (n, 3, factor h, factor w)."""
    x = image
    for layer in range(MIDDLE + 2):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        x = np.einsum("nihwab,oiab->nohw", windows, weights[f"body.{2 * layer}.weight"], optimize=True)
        x = x + weights[f"body.{2 * layer}.bias"][:, None, None]
        if layer <= MIDDLE:
            x = np.where(x < 0, weights[f"body.{2 * layer + 1}.weight"][:, None, None] * x, x)
    n, _, h, w = x.shape
    squares = x.reshape(n, 3, factor, factor, h, w).transpose(0, 1, 4, 2, 5, 3)
    return squares.reshape(n, 3, factor * h, factor * w) + image.repeat(factor, 2).repeat(factor, 3)


def random_image() -> np.ndarray:
    return np.random.default_rng(1).random((2, 3, 9, 13), np.float32)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("inside", ["params_ema", "params", None])
def test_the_graph_agrees_with_the_architecture(write_checkpoint, tmp_path, factor, inside):
    weights = made_up(factor)
    file_format, weights_read = read_srvgg(write_checkpoint(tmp_path / "a.pth", weights, inside))
    assert (file_format, weights_read.scale) == ("torch zip", factor)
    image = random_image()
    expected = computed(weights, image, factor)
    (whole,) = open_session(srvgg_graph(weights_read), threads=1).run([image])
    assert whole.shape == expected.shape
    assert np.abs(whole - expected).max() <= 1e-4
    (half,) = open_session(srvgg_graph(weights_read, half=True), threads=1).run([image])
    assert np.abs(half - expected).mean() <= 1 / 255


@pytest.mark.parametrize("half", [False, True])
def test_the_graph_is_valid_and_accepts_any_size(write_checkpoint, tmp_path, half):
    _, weights_read = read_srvgg(write_checkpoint(tmp_path / "a.pth", made_up(4)))
    model = onnx.load_from_string(srvgg_graph(weights_read, half))
    onnx.checker.check_model(model, full_check=True)
    assert [size.dim_param for size in model.graph.input[0].type.tensor_type.shape.dim] == ["n", "", "h", "w"]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("body.8.weight", np.zeros((5, FEATURES, 3, 3), np.float32), CheckpointMismatch),
        ("body.3.weight", np.zeros(FEATURES + 1, np.float32), CheckpointMismatch),
        ("body.4.weight", np.zeros((FEATURES, FEATURES, 1, 1), np.float32), CheckpointMismatch),
        ("body.2.bias", np.full(FEATURES, np.inf, np.float32), CheckpointInvalid),
        ("body.3.weight", np.full(FEATURES, np.nan, np.float32), CheckpointInvalid),
        ("body.2.bias", np.zeros((), np.float32), CheckpointMismatch),
    ],
)
def test_other_architectures_are_refused(write_checkpoint, tmp_path, name, value, error):
    with pytest.raises(error, match=r"\A.*\Z"):
        read_srvgg(write_checkpoint(tmp_path / "a.pth", made_up(4) | {name: value}))


def test_layers_with_wrong_numbers_are_refused(write_checkpoint, tmp_path):
    weights = made_up(4)
    weights["body.00.weight"] = weights.pop("body.0.weight")
    with pytest.raises(CheckpointMismatch):
        read_srvgg(write_checkpoint(tmp_path / "a.pth", weights))


@pytest.mark.parametrize("missing", ["body.2.bias", "body.3.weight", "body.8.weight"])
def test_a_missing_layer(write_checkpoint, tmp_path, missing):
    weights = made_up(4)
    del weights[missing]
    with pytest.raises(CheckpointMismatch):
        read_srvgg(write_checkpoint(tmp_path / "a.pth", weights))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("inside", ["params", "params_ema"])
def test_checkpoints_of_pytorch_give_the_results_of_pytorch(tmp_path, factor, inside):
    torch = pytest.importorskip("torch", reason="PyTorch is not a dependency")
    torch.manual_seed(0)
    nn, functional, image = torch.nn, torch.nn.functional, random_image()
    body = nn.ModuleList([nn.Conv2d(3, FEATURES, 3, 1, 1), nn.PReLU(FEATURES)])
    for _ in range(MIDDLE):
        body.extend([nn.Conv2d(FEATURES, FEATURES, 3, 1, 1), nn.PReLU(FEATURES)])
    body.append(nn.Conv2d(FEATURES, 3 * factor**2, 3, 1, 1))
    state = nn.ModuleDict({"body": body}).state_dict()  # named as BasicSR names them
    for number in range(1, len(body), 2):
        state[f"body.{number}.weight"].uniform_(-0.3, 0.5)
    torch.save({inside: state}, tmp_path / "a.pth")
    with torch.no_grad():
        x = given = torch.from_numpy(image)
        for part in body:
            x = part(x)
        x = functional.pixel_shuffle(x, factor) + functional.interpolate(given, scale_factor=factor, mode="nearest")
    expected = x.numpy()
    restated = computed({name: tensor.numpy() for name, tensor in state.items()}, image, factor)
    assert np.abs(restated - expected).max() <= 1e-4
    _, weights_read = read_srvgg(tmp_path / "a.pth")
    (whole,) = open_session(srvgg_graph(weights_read), threads=1).run([image])
    assert np.abs(whole - expected).max() <= 1e-4
    (half,) = open_session(srvgg_graph(weights_read, half=True), threads=1).run([image])
    assert np.abs(half - expected).mean() <= 1 / 255
