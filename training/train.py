"""Train the motion network: from folders of clips to the files that the package bundles.

    python training/train.py CLIPS... OUT [--others CLIPS_OF_OTHER_PEOPLE]

CLIPS are folders of clips of any number of speakers, those of one speaker in one folder. Writes OUT/motion.onnx and
OUT/basis.npz (bundled in src/lipsync/speech/data), OUT/canonical_face.npy (bundled in src/lipsync/faces/data) and
OUT/weights.pt, then evaluates. OUT/prepared and OUT/examples hold what a later run need not compute again.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dataset
import evaluate
import examples
import numpy as np
import onnx
import torch
from examples import Streams
from losses import AskedLoss, MotionLoss
from network import Lips, MotionHead, MotionHeads, Projection, to_onnx
from prepare import prepare
from torch import Tensor, nn

from lipsync.models.session_cache import SessionCache
from lipsync.speech.encoder import open_encoder
from lipsync.speech.motion import Basis, load_basis
from lipsync.types import Float32

AXES = 96  # that the encoder's rows are projected onto
SPEECH, SYNTHETIC, STILL = 24, 20, 6  # examples in a batch
FEATURE_NOISE = 0.45  # added to projected rows, both per row and per example
AVERAGE_DECAY = 0.995  # of the averaged weights, per step
CLEAN_SHARE = 0.3  # of the examples of speech that are not augmented
SPLICED = 0.5  # share of the batches whose examples are cut in two and joined with others'


@dataclasses.dataclass(frozen=True, slots=True)
class Examples:
    """Streams with projected rows: copies of the speech, the first not augmented, and songs; voices; stillness."""

    speech: list[Streams]
    synthetic: Streams
    still: Streams

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A batch: rows of all kinds, the motion of the speech, and what is asked in the other rows."""
        copies = rng.integers(1, max(2, len(self.speech)), SPEECH) * (rng.random(SPEECH) >= CLEAN_SHARE)
        drawn = [self.speech[c % len(self.speech)] for c in copies]
        parts = [stream.draw(stream.starts(), 1, rng) for stream in drawn]
        rows, motion = (np.concatenate(one) for one in zip(*parts, strict=True))
        if rng.random() < SPLICED:
            at, other = int(rng.integers(20, examples.EXAMPLE - 20)), rng.permutation(SPEECH)
            rows = np.concatenate([rows[:, at:], rows[other, :at]], 1)
            motion = np.concatenate([motion[:, at:], motion[other, :at]], 1)
        voices, asked = self.synthetic.draw(self.synthetic.starts(), SYNTHETIC, rng)
        quiet, rest = self.still.draw(self.still.starts(), STILL, rng)
        joined = torch.from_numpy(np.concatenate([rows, voices, quiet]))
        return joined, torch.from_numpy(motion), torch.from_numpy(np.concatenate([asked, rest]))


def fit_projection(speech: Streams, synthetic: Streams) -> Projection:
    """Principal axes of both kinds of speech, whitened, the weaker ones less than fully."""
    kinds = [stream.rows[::4].astype(np.float32) for stream in (speech, synthetic)]
    deviation = np.sqrt(np.mean([kind.var(0) for kind in kinds], 0)) + 1e-3
    scaled = [(kind - kind.mean(0)) / deviation for kind in kinds]
    values, vectors = np.linalg.eigh(np.mean([one.T @ one / len(one) for one in scaled], 0))
    values, vectors = values[::-1][:AXES], vectors[:, ::-1][:, :AXES]
    size = np.minimum(1, np.sqrt(values / values[AXES // 4])) / np.sqrt(values)
    axes = np.asarray(vectors * size / deviation[:, None], np.float32)
    return Projection(axes, -kinds[0].mean(0) @ axes)


def cached(file: Path, make: Callable[[], Streams]) -> Streams:
    """The streams in a file; if there is none, made and written."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **examples.as_arrays(make()))
    with np.load(file) as stored:
        return Streams(stored["rows"], stored["targets"], stored["lengths"])


def make_examples(
    clips: list[tuple[Float32, Float32]], neutral: Float32, folder: Path, copies: int, minutes: float
) -> tuple[Examples, Projection]:
    """Compute or load all examples, ``copies`` of the speech besides the original and ``minutes`` of synthetic."""
    encoder = open_encoder(SessionCache())
    synthetic = cached(folder / "synthetic.npz", lambda: examples.synthetic(encoder, 101, minutes))
    still = cached(folder / "still.npz", lambda: examples.still(encoder, 7, minutes / 6))
    original = cached(folder / "speech0.npz", lambda: examples.speech(clips, neutral, encoder, 0, clean=True))
    projection = fit_projection(original, synthetic)
    speech = [_projected(original, projection)]
    for seed in range(1, copies + 1):
        make = partial(examples.speech, clips, neutral, encoder, seed, clean=False)
        speech.append(_projected(cached(folder / f"speech{seed}.npz", make), projection))
        print(f"examples: copy {seed} of the speech", flush=True)
    songs = cached(folder / "sung.npz", lambda: examples.sung(clips, neutral, encoder, 11, len(clips) // 8))
    speech.append(_projected(songs, projection))
    return Examples(speech, _projected(synthetic, projection), _projected(still, projection)), projection


def _projected(streams: Streams, projection: Projection) -> Streams:
    return dataclasses.replace(streams, rows=projection(streams.rows).astype(np.float16))


def train(data: Examples, head: MotionHead, lips: Lips, deviations: Float32, steps: int, seed: int) -> MotionHead:
    """Train ``head`` and return a copy with an exponential moving average of its weights."""
    rng = np.random.default_rng(seed)
    motion_loss = MotionLoss(lips, deviations, data.speech[0].targets)
    asked_loss = AskedLoss(lips, data.speech[0].targets)
    average = copy.deepcopy(head).eval()
    optimiser = torch.optim.AdamW(head.parameters(), 2e-3, weight_decay=3e-2, betas=(0.9, 0.98))
    running = 0.0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 80) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        rows, motion, asked = data.draw(rng)
        rows = rows + FEATURE_NOISE * (torch.randn_like(rows) + torch.randn(len(rows), 1, rows.shape[2]))
        found, logit = head.train()(rows)
        kinds = (len(motion), len(asked))
        (spoken, other), (spoken_logit, other_logit) = found.split(kinds), logit.split(kinds)
        cost = motion_loss(spoken, spoken_logit, motion) + asked_loss(other, other_logit, asked)
        optimiser.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        update_average(average, head, min(AVERAGE_DECAY, step / (step + 20)))
        running = cost.item() if step == 0 else 0.98 * running + 0.02 * cost.item()
        if step % 100 == 99:
            print(f"step {step + 1}  loss {running:.3f}", flush=True)
    return average


@torch.no_grad()
def update_average(average: MotionHead, head: MotionHead, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), head.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.mul_(decay).add_(value, alpha=1 - decay)
        else:
            mean.copy_(value)


def export(model: MotionHeads, basis: Basis, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(model), out / "motion.onnx")
    arrays = {field.name: getattr(basis, field.name) for field in dataclasses.fields(basis)}
    np.savez_compressed(out / "basis.npz", allow_pickle=False, **arrays)
    torch.save(model.state_dict(), out / "weights.pt")


def run(args: argparse.Namespace) -> None:
    for name, usable in prepare(args.clips, args.out / "prepared"):
        print(name if usable else f"{name}: skipped, no face in some frames", flush=True)
    clips = dataset.load(args.out / "prepared")
    frontal = dataset.frontal_face(clips)
    basis, face = dataset.fit(clips, frontal)
    if args.basis:
        basis = load_basis(args.basis)
    else:
        np.save(args.out / "canonical_face.npy", face, allow_pickle=False)
    spoken = [(clip.audio, dataset.motion_of(clip, basis, frontal)) for clip in dataset.training_clips(clips)]
    data, projection = make_examples(spoken, basis.neutral, args.out / "examples", args.copies, args.synthetic)
    lips = Lips.of(basis)
    heads = []
    for seed in range(args.seed, args.seed + args.heads):
        print(f"head with seed {seed}", flush=True)
        torch.manual_seed(seed)
        heads.append(train(data, MotionHead(AXES, lips), lips, basis.sd, args.steps, seed))
    export(MotionHeads(projection, heads), basis, args.out)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", help="folders of clips, one speaker per folder")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders of other people to evaluate on")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="folders with another person in each clip")
    parser.add_argument("--basis", type=Path, help="keep this basis.npz, rather than fit a new one")
    parser.add_argument("--copies", type=int, default=8, help="augmented copies of the speech (default: 8)")
    parser.add_argument("--synthetic", type=float, default=75, help="minutes of synthetic voices (default: 75)")
    parser.add_argument("--steps", type=int, default=800, help="training steps of each (default: 800)")
    parser.add_argument("--heads", type=int, default=3, help="networks to train and average (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the first network (default: 0)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run(args)
    evaluate.report(evaluate.open_model(args.out), args.out / "prepared", args.others, args.apart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
