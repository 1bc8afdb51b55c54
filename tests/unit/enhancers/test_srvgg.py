"""SRVGGNetCompact's graph, against the network restated here in NumPy and, where it is installed, in PyTorch."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lipsync.enhancers.srvgg import read_srvgg, srvgg_graph
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


def write(path: Path, weights: Mapping[str, np.ndarray], inside: str | None = None) -> Path:
    """PyTorch's zip format, by hand; ``inside``: the word under which the weights lie."""
    body = b"}("
    for k, (name, array) in enumerate(weights.items()):
        storage = b"(" + said("storage") + b"ctorch\nFloatStorage\n" + said(str(k)) + said("cpu") + said(array.size)
        stride = said(tuple(step // 4 for step in array.strides))
        rest = said(0) + said(array.shape) + stride + b"\x89ccollections\nOrderedDict\n)R"
        body += said(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + rest + b"tR"
    whole = b"}(" + said(inside) + body + b"uu" if inside else body + b"u"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + whole + b".")
        for k, array in enumerate(weights.values()):
            archive.writestr(f"archive/data/{k}", array.tobytes())
    return path


def said(value: object) -> bytes:
    """A value in pickle's own language, without its frame and its memo."""
    return re.sub(rb"q.$", b"", pickle.dumps(value, 2)[2:-1])


def computed(weights: Mapping[str, np.ndarray], picture: np.ndarray, factor: int) -> np.ndarray:
    """The network: (n, 3, h, w) to (n, 3, factor h, factor w)."""
    x = picture
    for layer in range(MIDDLE + 2):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        x = np.einsum("nihwab,oiab->nohw", seen, weights[f"body.{2 * layer}.weight"], optimize=True)
        x = x + weights[f"body.{2 * layer}.bias"][:, None, None]
        if layer <= MIDDLE:
            x = np.where(x < 0, weights[f"body.{2 * layer + 1}.weight"][:, None, None] * x, x)
    n, _, h, w = x.shape
    squares = x.reshape(n, 3, factor, factor, h, w).transpose(0, 1, 4, 2, 5, 3)
    return squares.reshape(n, 3, factor * h, factor * w) + picture.repeat(factor, 2).repeat(factor, 3)


def shown() -> np.ndarray:
    return np.random.default_rng(1).random((2, 3, 9, 13), np.float32)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("inside", ["params_ema", "params", None])
def test_the_graph_computes_what_the_network_does(tmp_path, factor, inside):
    weights = made_up(factor)
    form, found = read_srvgg(write(tmp_path / "a.pth", weights, inside))
    assert (form, found.factor) == ("torch zip", factor)
    picture = shown()
    wanted = computed(weights, picture, factor)
    (whole,) = open_session(srvgg_graph(found), threads=1).run([picture])
    assert whole.shape == wanted.shape
    assert np.abs(whole - wanted).max() <= 1e-4
    (half,) = open_session(srvgg_graph(found, half=True), threads=1).run([picture])
    assert np.abs(half - wanted).mean() <= 1 / 255


@pytest.mark.parametrize("half", [False, True])
def test_the_graph_keeps_to_the_standard_and_takes_any_size(tmp_path, half):
    _, found = read_srvgg(write(tmp_path / "a.pth", made_up(4)))
    model = onnx.load_from_string(srvgg_graph(found, half))
    onnx.checker.check_model(model, full_check=True)
    assert [size.dim_param for size in model.graph.input[0].type.tensor_type.shape.dim] == ["n", "", "h", "w"]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("body.8.weight", np.zeros((5, FEATURES, 3, 3), np.float32), CheckpointMismatch),
        ("body.3.weight", np.zeros(FEATURES + 1, np.float32), CheckpointMismatch),
        ("body.4.weight", np.zeros((FEATURES, FEATURES, 1, 1), np.float32), CheckpointMismatch),
        ("body.2.bias", np.full(FEATURES, np.inf, np.float32), CheckpointInvalid),
    ],
)
def test_what_is_no_such_network(tmp_path, name, value, error):
    with pytest.raises(error):
        read_srvgg(write(tmp_path / "a.pth", made_up(4) | {name: value}))


@pytest.mark.parametrize("missing", ["body.2.bias", "body.3.weight", "body.8.weight"])
def test_a_missing_layer(tmp_path, missing):
    weights = made_up(4)
    del weights[missing]
    with pytest.raises(CheckpointMismatch):
        read_srvgg(write(tmp_path / "a.pth", weights))


def test_the_restated_network_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is no part of the product")
    functional = torch.nn.functional
    weights, picture = made_up(4), shown()
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    x = torch.from_numpy(picture)
    for layer in range(MIDDLE + 2):
        x = functional.conv2d(x, tensors[f"body.{2 * layer}.weight"], tensors[f"body.{2 * layer}.bias"], padding=1)
        if layer <= MIDDLE:
            x = functional.prelu(x, tensors[f"body.{2 * layer + 1}.weight"])
    larger = functional.interpolate(torch.from_numpy(picture), scale_factor=4, mode="nearest")
    wanted = functional.pixel_shuffle(x, 4) + larger
    assert np.abs(computed(weights, picture, 4) - wanted.numpy()).max() <= 1e-4
