"""How many frames a second Wav2Lip's generator makes: ONNX Runtime, OpenVINO and PyTorch side by side, in turn.

python benchmarks/generator.py [--rounds 3] [--batch 16] [--batches 6]

The weights are made up, which takes the same time. OpenVINO and ONNX Runtime are run as the product runs them: both
halves of the network, two batches side by side. PyTorch, where it is installed, runs eagerly, a batch after the other.
The error is against ONNX Runtime in fp32: largest of 1, and mean of 255.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from import_checkpoint import made_up

from lipsync.engines.wav2lip.architecture import (
    AUDIO_ENCODER,
    FACE_DECODER,
    FACE_ENCODER,
    LAST,
    Conv,
    decoder_graph,
    encoder_graph,
    fold,
)
from lipsync.engines.wav2lip.inference import STREAMS, FrameJob, GeneratorInput, GeneratorRunner
from lipsync.errors import DeviceUnavailable
from lipsync.models.devices import choose_runtime, open_session
from lipsync.types import Colour, Float32, Frame

CONTENDERS = (("onnxruntime", "fp32"), ("cpu", "fp32"), ("cpu", "bf16"), ("cuda", "fp32"), ("cuda", "fp16"))
Run = Callable[[Float32, Float32], Float32]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    dice = np.random.default_rng(0)
    count = options.batch * options.batches
    mel = dice.uniform(-4, 4, (count, 80, 16)).astype(np.float32)
    face = dice.random((count, 6, 96, 96), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        contenders = dict(_contenders(Path(folder), options.batch))
        made = {name: run(mel, face) for name, run in contenders.items()}  # the first run sets things up
        speeds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, run in contenders.items():
                began = time.monotonic()
                run(mel, face)
                speeds[name].append(count / (time.monotonic() - began))
    truth = next(iter(made.values()))
    for name, taken in speeds.items():
        away = np.abs(made[name] - truth)
        print(
            f"{name:<22} {statistics.median(taken):6.1f} frames/s ({min(taken):.1f} to {max(taken):.1f})  "
            f"error {away.max():.1e}, mean {away.mean() * 255:.3f} of 255"
        )


def _contenders(folder: Path, batch: int) -> Iterator[tuple[str, Run]]:
    weights = made_up()
    folded = fold(weights)
    for half in (False, True):
        for name, make in (("encoder", encoder_graph), ("decoder", decoder_graph)):
            (folder / f"{name}{half}.onnx").write_bytes(make(folded, half))
    for device, precision in CONTENDERS:
        try:
            choose_runtime(device, precision)
        except DeviceUnavailable as exc:
            print(f"{device} {precision}: left out, {exc}")
            continue
        half = precision == "fp16"
        sessions = (
            open_session(folder / f"{name}{half}.onnx", device=device, precision=precision, streams=STREAMS)
            for name in ("encoder", "decoder")
        )
        yield f"{device} {precision}", _ours(GeneratorRunner(*sessions), batch)
    try:
        yield "PyTorch eager fp32", _pytorch(weights, batch)
    except ImportError:
        print("PyTorch: left out, it is not installed")


def _ours(generator: GeneratorRunner, batch: int) -> Run:
    nothing = Frame(0, *[np.zeros((2, 2), np.uint8)] * 3, 8, Colour())

    def run(mel: Float32, face: Float32) -> Float32:
        jobs = (FrameJob(nothing, m, GeneratorInput(f, None), None) for m, f in zip(mel, face, strict=True))
        return np.stack([made for _, made in generator.run(jobs, batch, repeats=False) if made is not None])

    return run


def _pytorch(weights: dict[str, np.ndarray], batch: int) -> Run:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, conv: Conv) -> None:
            super().__init__()
            kind: Any = nn.ConvTranspose2d if conv.up else nn.Conv2d
            more = {"output_padding": conv.more} if conv.up else {}
            layer = kind(conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.pad, **more)
            self.conv_block = nn.Sequential(layer, nn.BatchNorm2d(conv.outputs))
            self._residual = conv.residual

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made = self.conv_block(x)
            return torch.relu(made + x if self._residual else made)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.face_encoder_blocks = nn.ModuleList(nn.Sequential(*map(Block, stage)) for stage in FACE_ENCODER)
            self.audio_encoder = nn.Sequential(*map(Block, AUDIO_ENCODER))
            self.face_decoder_blocks = nn.ModuleList(nn.Sequential(*map(Block, stage)) for stage in FACE_DECODER)
            self.output_block = nn.Sequential(Block(LAST), nn.Conv2d(LAST.outputs, 3, 1), nn.Sigmoid())

        def forward(self, mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
            skips = []
            for stage in self.face_encoder_blocks:
                face = stage(face)
                skips.append(face)
            made = self.audio_encoder(mel)
            for stage in self.face_decoder_blocks:
                made = torch.cat([stage(made), skips.pop()], 1)
            return self.output_block(made)

    net = Net().eval()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)

    def run(mel: Float32, face: Float32) -> Float32:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(mel), batch):
                part = slice(start, start + batch)
                parts.append(net(torch.from_numpy(mel[part, None]), torch.from_numpy(face[part])).numpy())
        return np.concatenate(parts)

    return run


if __name__ == "__main__":
    main()
