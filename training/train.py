"""Train the motion network on prepared clips.

    python training/train.py PREPARED_DIR OUT_DIR [--minutes 30]

Writes OUT_DIR/motion.onnx and OUT_DIR/basis.npz (bundled in src/lipsync/speech/data), OUT_DIR/canonical_face.npy
(bundled in src/lipsync/faces/data) and OUT_DIR/weights.pt. The learning rate follows the clock, so any time budget
gives a finished network.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dataset
import numpy as np
import onnx
import torch
from augment import augment_batch
from network import MotionNet, to_onnx
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from lipsync.faces import geometry
from lipsync.speech.motion import Basis

BATCH = 32
SHARES = (0.25, 0.45, 0.3)  # probabilities of the clip's own voice, the vocoder and the synthesisers
AVERAGE_DECAY = 0.997  # of the averaged weights, per step


class MotionLoss(nn.Module):
    """The error of coefficients and their speed, plus the error and correlation of lip opening and mouth width."""

    weight: Tensor
    measures: Tensor

    def __init__(self, basis: Basis, motion: Tensor) -> None:
        super().__init__()
        weight = torch.from_numpy(basis.sd / basis.sd.max()).sqrt()
        self.register_buffer("weight", weight / weight.mean())
        gap = basis.components[:, geometry.INNER_BOTTOM, 1] - basis.components[:, geometry.INNER_TOP, 1]
        across = basis.components[:, geometry.LEFT_CORNER, 0] - basis.components[:, geometry.RIGHT_CORNER, 0]
        measures = torch.from_numpy(np.stack([gap, across], 1))
        self.register_buffer("measures", measures / (motion @ measures).std((0, 1)))

    def forward(self, output: Tensor, target: Tensor, silent: Tensor) -> Tensor:
        error = (self.weight * smooth_l1_loss(output, target, beta=0.4, reduction="none")).mean()
        speed = (self.weight * (output.diff(dim=1) - target.diff(dim=1)).abs()).mean()
        predicted, true = output @ self.measures, target @ self.measures
        measured = 2 * smooth_l1_loss(predicted, true, beta=0.4)
        speaking = ~silent
        decorrelation = 1 - correlation(predicted[speaking], true[speaking])
        return torch.as_tensor(error + 1.5 * speed + 0.7 * measured + decorrelation.mean())


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's r over time, (batch, rows, m) to (batch, m); close to 0 for nearly constant signals."""
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    length: Tensor = one.norm(dim=1) * other.norm(dim=1)
    return (one * other).sum(1) / (length + 1e-3)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Training time, in ``minutes`` or in ``steps``, the peak learning rate and the batch size."""

    minutes: float = 30
    steps: int | None = None
    rate: float = 2e-3
    batch: int = BATCH


def schedule(plan: Plan) -> Iterator[tuple[int, float]]:
    """Yield step number and learning rate: a linear warm-up, then half a cosine over the time or the steps."""
    start, step = time.monotonic(), 0
    while (done := step / plan.steps if plan.steps else (time.monotonic() - start) / 60 / plan.minutes) < 1:
        yield step, plan.rate * min(1.0, (step + 1) / 150) * (0.49 * (1 + math.cos(math.pi * done)) + 0.02)
        step += 1


def train(data: dataset.Batches, basis: Basis, net: MotionNet, plan: Plan) -> MotionNet:
    """Train ``net`` and return a copy with an exponential moving average of its weights."""
    rng = np.random.default_rng(torch.initial_seed())
    neutral = torch.from_numpy(basis.neutral)
    loss = MotionLoss(basis, data.motion)
    average = copy.deepcopy(net).eval()
    optimiser = torch.optim.AdamW(net.parameters(), plan.rate, weight_decay=2e-2, betas=(0.9, 0.98))
    running_loss = 0.0
    for step, rate in schedule(plan):
        for group in optimiser.param_groups:
            group["lr"] = rate
        features, motion, silent = augment_batch(*data.draw(rng, plan.batch, SHARES), neutral)
        cost = loss(net.train()(features), motion, silent)
        optimiser.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        update_average(average, net, min(AVERAGE_DECAY, step / (step + 20)))
        running_loss = cost.item() if step == 0 else 0.98 * running_loss + 0.02 * cost.item()
        if step % 100 == 99:
            print(f"step {step + 1}  loss {running_loss:.3f}", flush=True)
    return average


@torch.no_grad()
def update_average(average: MotionNet, net: MotionNet, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.mul_(decay).add_(value, alpha=1 - decay)
        else:
            mean.copy_(value)


def export(net: MotionNet, basis: Basis, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(net), out / "motion.onnx")
    arrays = {field.name: getattr(basis, field.name) for field in dataclasses.fields(basis)}
    np.savez_compressed(out / "basis.npz", allow_pickle=False, **arrays)
    torch.save(net.state_dict(), out / "weights.pt")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=30, help="training time (default: 30)")
    parser.add_argument("--steps", type=int, help="train for this many steps instead of minutes")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (default: 0.002)")
    parser.add_argument("--start", type=Path, help="weights.pt of an earlier run to continue from")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    clips = dataset.load(args.prepared)
    basis, frontal = dataset.fit(clips)
    data = dataset.batches(clips, basis, frontal)
    print(f"{len(data.voices)} clips, {sum(map(len, data.voices))} voices", flush=True)
    net = MotionNet(len(basis.sd))
    if args.start:
        net.load_state_dict(torch.load(args.start, weights_only=True))
    export(train(data, basis, net, Plan(args.minutes, args.steps, args.rate)), basis, args.out)
    np.save(args.out / "canonical_face.npy", dataset.canonical_face(clips, frontal), allow_pickle=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
