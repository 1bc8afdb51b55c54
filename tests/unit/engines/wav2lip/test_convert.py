"""Checkpoints as PyTorch writes them, and files that are not Wav2Lip checkpoints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.engines.wav2lip import architecture
from lipsync.engines.wav2lip.architecture import Conv, fold
from lipsync.engines.wav2lip.convert import read_weights
from lipsync.errors import CheckpointInvalid, CheckpointMismatch, CheckpointTruncated, NotACheckpoint

torch = pytest.importorskip("torch", reason="PyTorch is not a dependency of the product")
pytest.importorskip("onnx", reason="needs the wav2lip extra")


class Block(torch.nn.Module):
    def __init__(self, conv: Conv) -> None:
        super().__init__()
        more: dict[str, Any] = {"output_padding": conv.output_padding} if conv.up else {}
        kind = torch.nn.ConvTranspose2d if conv.up else torch.nn.Conv2d
        convolution = kind(conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.pad, **more)
        self.conv_block = torch.nn.Sequential(convolution, torch.nn.BatchNorm2d(conv.outputs))
        self.residual = conv.residual

    def forward(self, x):
        out = self.conv_block(x)
        if self.residual:
            out = out + x
        return torch.relu(out)


def chain(stage: Sequence[Conv]) -> Any:
    return torch.nn.Sequential(*map(Block, stage))


class Wav2Lip(torch.nn.Module):
    """The original generator in PyTorch, from the tables of ``architecture``."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = torch.nn.ModuleList(map(chain, architecture.FACE_ENCODER))
        self.audio_encoder = chain(architecture.AUDIO_ENCODER)
        self.face_decoder_blocks = torch.nn.ModuleList(map(chain, architecture.FACE_DECODER))
        last = torch.nn.Conv2d(architecture.TO_RGB.inputs, architecture.TO_RGB.outputs, 1)
        self.output_block = torch.nn.Sequential(Block(architecture.LAST), last, torch.nn.Sigmoid())

    def forward(self, mel, face):
        skips = []
        for block in self.face_encoder_blocks:
            face = block(face)
            skips.append(face)
        x = self.audio_encoder(mel)
        for i, block in enumerate(self.face_decoder_blocks):
            x = torch.cat((block(x), skips[len(skips) - 1 - i]), dim=1)
        return self.output_block(x)


@pytest.fixture(scope="module")
def network(weights) -> Any:
    generator = Wav2Lip()
    generator.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)
    return generator.eval()


def check(path: Path, form: str, weights: dict[str, np.ndarray], near: float = 1e-6) -> None:
    found_form, found = read_weights(path)
    expected = fold(weights)
    assert found_form == form
    assert set(found) == set(expected)
    for name, pair in expected.items():
        assert all(np.abs(one - other).max() < near for one, other in zip(found[name], pair, strict=True)), name


def test_a_zip_file(tmp_path, network, weights):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": network.state_dict(), "global_step": 3}, path)
    check(path, "torch zip", weights)


def test_a_legacy_file_of_several_gpus_with_the_optimizer(tmp_path, network, weights):
    path = tmp_path / "a.pth"
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    moments = {0: {"step": 7, "exp_avg": torch.zeros(3, 4), "exp_avg_sq": torch.ones(3, 4)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.5, 0.999), "params": [0]}]}
    content = {"state_dict": state, "optimizer": optimizer, "global_step": 7, "global_epoch": 1}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    check(path, "torch legacy", weights)


@pytest.mark.parametrize("traced", [True, False])
def test_a_torchscript_archive(tmp_path, network, weights, traced):
    path = tmp_path / "a.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.trace(network, example_inputs(), check_trace=False) if traced else torch.jit.script(network)
        torch.jit.save(module, path)
    check(path, "TorchScript", weights)


def example_inputs() -> tuple[Any, Any]:
    return torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96)


@pytest.mark.parametrize("folding", [True, False])
def test_an_onnx_file_that_pytorch_exported(tmp_path, network, weights, folding):
    path = tmp_path / "a.onnx"
    kept = torch.onnx.TrainingMode.EVAL if folding else torch.onnx.TrainingMode.PRESERVE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            example_inputs(),
            str(path),
            dynamo=False,
            input_names=["source", "target"],
            dynamic_axes={"source": {0: "n"}, "target": {0: "n"}},
            training=kept,
            do_constant_folding=folding,
        )
    check(path, "ONNX", weights)


def test_a_web_page_saved_as_a_checkpoint(tmp_path):
    path = tmp_path / "wav2lip.pth"
    path.write_text("<!DOCTYPE html><html>Sign in</html>")
    with pytest.raises(NotACheckpoint, match="web page"):
        read_weights(path)


def test_the_weights_of_another_network(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(CheckpointMismatch, match="unknown architecture"):
        read_weights(path)


def test_a_tensor_of_another_shape_and_one_with_nan(tmp_path, network):
    path = tmp_path / "a.pth"
    name = "audio_encoder.0.conv_block.0.bias"
    torch.save(network.state_dict() | {name: torch.zeros(31)}, path)
    with pytest.raises(CheckpointMismatch, match=r"\(31,\): expected \(32,\)"):
        read_weights(path)
    torch.save(network.state_dict() | {name: torch.full((32,), torch.nan)}, path)
    with pytest.raises(CheckpointInvalid, match=r"audio_encoder\.0"):
        read_weights(path)
    path.write_bytes(path.read_bytes()[:50_000_000])
    with pytest.raises(CheckpointTruncated):
        read_weights(path)
