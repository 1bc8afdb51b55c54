"""RRDBNet's graph, against the architecture in NumPy and, if installed, in PyTorch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from lipsync.enhancers.upscale.rrdbnet import read_rrdbnet, rrdbnet_graph
from lipsync.errors import CheckpointInvalid, CheckpointMismatch
from lipsync.models.devices import open_session

onnx = pytest.importorskip("onnx", reason="makes the networks")

BLOCKS, FEATURES, GROWTH = 2, 8, 4
FIRST_NAMES = (
    (r"conv_first\.", "model.0."),
    (r"body\.(\d+)\.rdb(\d)\.conv(\d)\.", r"model.1.sub.\1.RDB\2.conv\3.0."),
    (r"conv_body\.", f"model.1.sub.{BLOCKS}."),
    (r"conv_up1\.", "model.3."),
    (r"conv_up2\.", "model.6."),
    (r"conv_hr\.", "model.8."),
    (r"conv_last\.", "model.10."),
)


def made_up(factor: int) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(0)
    sizes = {"conv_first": ({4: 3, 2: 12}[factor], FEATURES), "conv_last": (FEATURES, 3)}
    sizes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (FEATURES, FEATURES))
    for block in range(BLOCKS):
        for dense in (1, 2, 3):
            for k in range(5):
                outputs = FEATURES if k == 4 else GROWTH
                sizes[f"body.{block}.rdb{dense}.conv{k + 1}"] = (FEATURES + k * GROWTH, outputs)
    weights = {}
    for name, (inputs, outputs) in sizes.items():
        spread = 1 / np.sqrt(9 * inputs)
        weights[f"{name}.weight"] = (spread * dice.standard_normal((outputs, inputs, 3, 3))).astype(np.float32)
        weights[f"{name}.bias"] = (0.2 * dice.standard_normal(outputs)).astype(np.float32)
    return weights


def computed(weights: Mapping[str, np.ndarray], image: np.ndarray, factor: int) -> np.ndarray:
    """The architecture of the papers: (n, 3, h, w) to (n, 3, factor h, factor w)."""

    def conv(x: np.ndarray, name: str) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        bias = weights[f"{name}.bias"][:, None, None]
        return np.einsum("nihwab,oiab->nohw", windows, weights[f"{name}.weight"], optimize=True) + bias

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, 0.2 * x, x)

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        known = [x]
        for k in range(1, 5):
            known.append(leaky(conv(np.concatenate(known, 1), f"{name}.conv{k}")))
        return x + 0.2 * conv(np.concatenate(known, 1), f"{name}.conv5")

    if factor == 2:
        n, c, h, w = image.shape
        squares = image.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
        image = squares.reshape(n, 4 * c, h // 2, w // 2)
    first = x = conv(image, "conv_first")
    for block in range(BLOCKS):
        hidden = x
        for k in (1, 2, 3):
            hidden = dense(hidden, f"body.{block}.rdb{k}")
        x = x + 0.2 * hidden
    x = first + conv(x, "conv_body")
    for up in ("conv_up1", "conv_up2"):
        x = leaky(conv(x.repeat(2, 2).repeat(2, 3), up))
    return conv(leaky(conv(x, "conv_hr")), "conv_last")


def random_image(high: int = 10, wide: int = 14) -> np.ndarray:
    return np.random.default_rng(1).random((2, 3, high, wide), np.float32)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("inside", ["params_ema", "params", None])
def test_the_graph_agrees_with_the_architecture(write_checkpoint, tmp_path, factor, inside):
    weights = made_up(factor)
    file_format, weights_read = read_rrdbnet(write_checkpoint(tmp_path / "a.pth", weights, inside))
    assert (file_format, weights_read.scale) == ("torch zip", factor)
    image = random_image()
    expected = computed(weights, image, factor)
    (whole,) = open_session(rrdbnet_graph(weights_read), threads=1).run([image])
    assert whole.shape == expected.shape == (2, 3, 10 * factor, 14 * factor)
    assert np.abs(whole - expected).max() <= 1e-4
    (half,) = open_session(rrdbnet_graph(weights_read, half=True), threads=1).run([image])
    assert np.abs(half - expected).mean() <= 1 / 255


def test_the_layer_names_of_the_first_esrgan_are_supported(write_checkpoint, tmp_path):
    weights = made_up(4)
    earlier = {}
    for name, array in weights.items():
        pattern, then = next(pair for pair in FIRST_NAMES if re.match(pair[0], name))
        earlier[re.sub(pattern, then, name, count=1)] = array
    _, weights_read = read_rrdbnet(write_checkpoint(tmp_path / "a.pth", earlier))
    image = random_image()
    (out,) = open_session(rrdbnet_graph(weights_read), threads=1).run([image])
    assert np.abs(out - computed(weights, image, 4)).max() <= 1e-4


@pytest.mark.parametrize("half", [False, True])
def test_the_graph_is_valid_and_accepts_any_size(write_checkpoint, tmp_path, half):
    _, weights_read = read_rrdbnet(write_checkpoint(tmp_path / "a.pth", made_up(2)))
    model = onnx.load_from_string(rrdbnet_graph(weights_read, half))
    onnx.checker.check_model(model, full_check=True)
    assert [size.dim_param for size in model.graph.input[0].type.tensor_type.shape.dim] == ["n", "", "h", "w"]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("conv_first.weight", np.zeros((FEATURES, 48, 3, 3), np.float32), CheckpointMismatch),
        ("conv_last.weight", np.zeros((1, FEATURES, 3, 3), np.float32), CheckpointMismatch),
        ("body.1.rdb3.conv5.bias", np.zeros(GROWTH, np.float32), CheckpointMismatch),
        ("conv_hr.bias", np.full(FEATURES, np.nan, np.float32), CheckpointInvalid),
    ],
)
def test_other_architectures_are_refused(write_checkpoint, tmp_path, name, value, error):
    with pytest.raises(error, match=r"\A.*\Z"):
        read_rrdbnet(write_checkpoint(tmp_path / "a.pth", made_up(4) | {name: value}))


def test_a_missing_convolution_is_named(write_checkpoint, tmp_path):
    weights = made_up(4)
    del weights["body.1.rdb2.conv4.bias"]
    with pytest.raises(CheckpointMismatch, match=r"body\.1\.rdb2\.conv4"):
        read_rrdbnet(write_checkpoint(tmp_path / "a.pth", weights))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("new", [True, False])
def test_checkpoints_of_pytorch_give_the_results_of_pytorch(tmp_path, factor, new):
    torch = pytest.importorskip("torch", reason="PyTorch is not a dependency")
    torch.manual_seed(0)
    network, image = official(torch, factor), random_image()
    state, path = network.state_dict(), tmp_path / "a.pth"
    averaged = {"params": dict.fromkeys(state, torch.zeros(1)), "params_ema": state}
    torch.save(averaged if factor == 4 else {"params": state}, path, _use_new_zipfile_serialization=new)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    restated = computed({name: tensor.numpy() for name, tensor in state.items()}, image, factor)
    assert np.abs(restated - expected).max() <= 1e-4
    file_format, weights_read = read_rrdbnet(path)
    assert file_format == ("torch zip" if new else "torch legacy")
    (whole,) = open_session(rrdbnet_graph(weights_read), threads=1).run([image])
    assert np.abs(whole - expected).max() <= 1e-4
    (half,) = open_session(rrdbnet_graph(weights_read, half=True), threads=1).run([image])
    assert np.abs(half - expected).mean() <= 1 / 255


def official(torch: Any, factor: int) -> Any:
    """The model with BasicSR's layer names."""
    nn, functional = torch.nn, torch.nn.functional

    def leaky(x: Any) -> Any:
        return functional.leaky_relu(x, 0.2)

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for k in range(1, 6):
                outputs = FEATURES if k == 5 else GROWTH
                setattr(self, f"conv{k}", nn.Conv2d(FEATURES + (k - 1) * GROWTH, outputs, 3, 1, 1))

        def forward(self, x: Any) -> Any:
            known = [x]
            for k in range(1, 5):
                known.append(leaky(getattr(self, f"conv{k}")(torch.cat(known, 1))))
            return self.conv5(torch.cat(known, 1)) * 0.2 + x

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rdb1, self.rdb2, self.rdb3 = Dense(), Dense(), Dense()

        def forward(self, x: Any) -> Any:
            return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv_first = nn.Conv2d({4: 3, 2: 12}[factor], FEATURES, 3, 1, 1)
            self.body = nn.Sequential(*(Block() for _ in range(BLOCKS)))
            for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
                setattr(self, name, nn.Conv2d(FEATURES, FEATURES, 3, 1, 1))
            self.conv_last = nn.Conv2d(FEATURES, 3, 3, 1, 1)

        def forward(self, x: Any) -> Any:
            first = self.conv_first(functional.pixel_unshuffle(x, 2) if factor == 2 else x)
            x = first + self.conv_body(self.body(first))
            x = leaky(self.conv_up1(functional.interpolate(x, scale_factor=2, mode="nearest")))
            x = leaky(self.conv_up2(functional.interpolate(x, scale_factor=2, mode="nearest")))
            return self.conv_last(leaky(self.conv_hr(x)))

    return Network().eval()
