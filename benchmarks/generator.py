"""Measure the frame rate of Wav2Lip's generator in ONNX Runtime, OpenVINO and PyTorch, in alternation.

python benchmarks/generator.py [--rounds 3] [--batch 16] [--batches 6]

The weights are random, which does not affect the time. OpenVINO and ONNX Runtime run as in the engine: encoder and
decoder, with two concurrent batches. PyTorch, if installed, runs eagerly, one batch at a time. Errors are relative to
ONNX Runtime in fp32: the maximum (of 1), and the mean (of 255).
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
from import_checkpoint import random_weights

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
    rng = np.random.default_rng(0)
    count = options.batch * options.batches
    mel = rng.uniform(-4, 4, (count, 80, 16)).astype(np.float32)
    face = rng.random((count, 6, 96, 96), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        contenders = dict(_contenders(Path(folder), options.batch))
        outputs = {name: run(mel, face) for name, run in contenders.items()}  # the first run is a warm-up
        speeds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, run in contenders.items():
                start = time.monotonic()
                run(mel, face)
                speeds[name].append(count / (time.monotonic() - start))
    truth = next(iter(outputs.values()))
    for name, rates in speeds.items():
        error = np.abs(outputs[name] - truth)
        print(
            f"{name:<22} {statistics.median(rates):6.1f} frames/s ({min(rates):.1f} to {max(rates):.1f})  "
            f"error {error.max():.1e}, mean {error.mean() * 255:.3f} of 255"
        )


def _contenders(folder: Path, batch: int) -> Iterator[tuple[str, Run]]:
    weights = random_weights()
    folded = fold(weights)
    for half in (False, True):
        for name, make in (("encoder", encoder_graph), ("decoder", decoder_graph)):
            (folder / f"{name}{half}.onnx").write_bytes(make(folded, half))
    for device, precision in CONTENDERS:
        try:
            choose_runtime(device, precision)
        except DeviceUnavailable as exc:
            print(f"{device} {precision}: skipped: {exc}")
            continue
        half = precision == "fp16"
        sessions = (
            open_session(folder / f"{name}{half}.onnx", device=device, precision=precision, streams=STREAMS)
            for name in ("encoder", "decoder")
        )
        yield f"{device} {precision}", _product(GeneratorRunner(*sessions), batch)
    try:
        yield "PyTorch eager fp32", _pytorch(weights, batch)
    except ImportError:
        print("PyTorch: skipped: not installed")


def _product(generator: GeneratorRunner, batch: int) -> Run:
    blank = Frame(0, *[np.zeros((2, 2), np.uint8)] * 3, 8, Colour())

    def run(mel: Float32, face: Float32) -> Float32:
        jobs = (FrameJob(blank, m, GeneratorInput(f, None), None) for m, f in zip(mel, face, strict=True))
        return np.stack([image for _, image in generator.run(jobs, batch, repeats=False) if image is not None])

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
            hidden = self.conv_block(x)
            return torch.relu(hidden + x if self._residual else hidden)

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
            hidden = self.audio_encoder(mel)
            for stage in self.face_decoder_blocks:
                hidden = torch.cat([stage(hidden), skips.pop()], 1)
            return self.output_block(hidden)

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
