"""Measure how well a motion network follows speech, on the mouth's motion alone, before rendering.

    python training/evaluate.py PREPARED [--model OUT] [--others CLIPS...] [--apart CLIPS...]

Compares the held-out clips of PREPARED and every clip below CLIPS (one speaker per folder; with --apart, one per clip)
with their own video, and prints the mean of each speaker and of all other speakers. Columns: Pearson's r of lip opening
and of mouth width; the spread (standard deviation) of both, divided by the truth's; lmd, the mean distance of the 40
lip points from the truth, both as
displacements from the mean of the least open fifth; lag behind the truth in frames, at the peak of r; jitter, the lip
points' second difference divided by the truth's. Then two shares: ``closed``, of the short closures of the truth (less
than 0.02 eye distances) that the prediction closes as well, and ``false``, of the frames open in truth (more than 0.06)
that it closes. Last, the p, b and m of synthetic voices that close to within 12 % of the range, the open vowels that
do, and the mean opening in the middle of their pauses; and the opening in silence and noise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import dataset
import numpy as np
import phonemes
from prepare import held_out, prepare

from lipsync.faces import geometry
from lipsync.models.devices import open_session
from lipsync.models.session_cache import SessionCache
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.encoder import ENCODER_RATE, open_encoder
from lipsync.speech.motion import NETWORK_RATE, MotionModel, load_basis, open_motion_model
from lipsync.types import Float32

CLOSED, OPEN = 0.02, 0.06  # lip openings in eye distances
LONGEST_CLOSURE = 8  # frames
NEARLY_CLOSED = 0.12  # of the range between the 5th and the 95th percentile


@dataclass(frozen=True, slots=True)
class Score:
    """The results for one clip, see the module's docstring."""

    opening: float
    width: float
    opening_spread: float
    width_spread: float
    lmd: float
    lag: float
    jitter: float


@dataclass(frozen=True, slots=True)
class Closures:
    """Counts: true short closures, those that were closed, frames that are open in truth, those that were closed."""

    true: int
    closed: int
    open: int
    false: int


def score(predicted: Float32, true: Float32) -> Score:
    """Compare predicted and true mouths, meshes (n, 468, 3) in the face frame."""
    opened, target = geometry.opening(predicted), geometry.opening(true)
    width, true_width = _mouth_width(predicted), _mouth_width(true)
    ours, theirs = _displacement(predicted), _displacement(true)
    jitter = np.abs(np.diff(ours, 2, 0)).mean() / np.abs(np.diff(theirs, 2, 0)).mean()
    return Score(
        float(np.corrcoef(opened, target)[0, 1]),
        float(np.corrcoef(width, true_width)[0, 1]),
        float(opened.std() / target.std()),
        float(width.std() / true_width.std()),
        float(np.linalg.norm(ours - theirs, axis=-1).mean()),
        _lag(opened, target),
        float(jitter),
    )


def closures(predicted: Float32, true: Float32) -> Closures:
    """Compare closed lips of predicted and true mouths, meshes (n, 468, 3)."""
    opened, target = geometry.opening(predicted), geometry.opening(true)
    limit = max(CLOSED, nearly_closed(opened))
    edges = np.flatnonzero(np.diff(np.pad((target < CLOSED).astype(int), 1)))
    short = [
        (first, last)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first <= LONGEST_CLOSURE and first > 2 and last < len(target) - 2
    ]
    closed = sum(opened[first - 1 : last + 1].min() <= limit for first, last in short)
    apart = target > OPEN
    return Closures(len(short), int(closed), int(apart.sum()), int((opened[apart] < CLOSED).sum()))


def nearly_closed(opened: Float32) -> float:
    """The opening up to which lips count as closed, within the range of ``opened`` (n,)."""
    low, high = np.percentile(opened, (5, 95))
    return float(low + NEARLY_CLOSED * (high - low))


def _displacement(mesh: Float32) -> Float32:
    least = np.argsort(geometry.opening(mesh))[: max(5, len(mesh) // 5)]
    lips = mesh[:, list(geometry.LIPS)]
    return np.asarray(lips - lips[least].mean(0), np.float32)


def _mouth_width(points: Float32) -> Float32:
    """Distance between the outer mouth corners, (n, >= 468, 3) -> (n,), in the unit of the points."""
    across = points[:, geometry.RIGHT_CORNER] - points[:, geometry.LEFT_CORNER]
    return np.asarray(np.linalg.norm(across, axis=-1), np.float32)


def _lag(one: Float32, other: Float32, most: int = 4) -> float:
    """The lag with the highest r between two signals, refined by a parabola through three values."""
    inner = slice(most, len(one) - most)
    moved = [np.corrcoef(one[most + lag : len(one) - most + lag], other[inner])[0, 1] for lag in range(-most, most + 1)]
    best = int(np.clip(np.argmax(moved), 1, len(moved) - 2))
    before, peak, after = moved[best - 1 : best + 2]
    bend = before - 2 * peak + after
    return float(best - most + (0.5 * (before - after) / bend if bend < 0 else 0.0))


def mesh(model: MotionModel, audio: Float32, frames: int, rate: int = NETWORK_RATE) -> Float32:
    """The predicted mouth (frames, 468, 3) in the face frame, on the canonical face."""
    rows = np.concatenate(list(model.predict(iter([audio]), Fraction(rate), frames)))
    return np.asarray(geometry.canonical_face() + model.basis.displacement(rows), np.float32)


def compare(model: MotionModel, clips: Iterable[dataset.PreparedClip]) -> dict[str, list[tuple[Score, Closures]]]:
    """The results of each clip, by speaker."""
    results: dict[str, list[tuple[Score, Closures]]] = {}
    for clip in clips:
        true = geometry.fit_pose(clip.landmarks, geometry.canonical_face()).to_face(clip.landmarks[:, : geometry.MESH])
        predicted = mesh(model, clip.audio, len(true))
        results.setdefault(clip.speaker, []).append((score(predicted, true), closures(predicted, true)))
    return results


def voices(model: MotionModel, seed: int = 5, streams: int = 12) -> tuple[float, float, float]:
    """The shares of the p, b and m and of the open vowels of synthetic voices on which the lips are nearly closed.

    The last value is the mean opening where a pause asks for rest.
    """
    rng, hits, misses, pauses = np.random.default_rng(seed), [], [], []
    sentences = phonemes.sentences(rng)
    with phonemes.Synthesiser() as synthesiser:
        spoken_streams = [synthesiser.speak_all(list(islice(sentences, 4)), rng) for _ in range(streams)]
    for sound, spoken in spoken_streams:
        opened = geometry.opening(mesh(model, sound, len(sound) * ENCODER_RATE // SPEECH_RATE, ENCODER_RATE))
        asked = phonemes.labels(spoken, sound, len(opened))
        closed = opened <= nearly_closed(opened)
        edges = np.flatnonzero(np.diff(np.pad(asked[:, 0], 1)))
        hits += [closed[max(0, i - 3) : j + 3].any() for i, j in zip(edges[::2], edges[1::2], strict=True)]
        misses += list(closed[asked[:, 2] > 0])
        pauses += list(opened[asked[:, 4] == 1])
    return float(np.mean(hits)), float(np.mean(misses)), float(np.mean(pauses))


def stillness(model: MotionModel, level: float, seconds: int = 10) -> tuple[float, float]:
    """Mean and standard deviation of the lip opening for white noise of an RMS level (1 is full scale)."""
    noise = np.random.default_rng(0).standard_normal(seconds * SPEECH_RATE) * level
    opened = geometry.opening(mesh(model, np.asarray(noise, np.float32), seconds * NETWORK_RATE))
    return float(opened.mean()), float(opened.std())


def open_model(folder: Path | None) -> MotionModel:
    """Open the bundled network, or the one that training wrote to ``folder``."""
    sessions = SessionCache()
    if folder is None:
        return open_motion_model(sessions)
    session = open_session(folder / "motion.onnx", threads=1)
    return MotionModel(open_encoder(sessions), session, load_basis(folder / "basis.npz"))


def report(model: MotionModel, prepared: Path, others: Sequence[Path], apart: Sequence[Path]) -> None:
    """Print everything."""
    print(f"{'':22s}clips" + "".join(f"{field.name[:9]:>10s}" for field in fields(Score)) + "    closed   false")
    known = compare(model, (clip for clip in dataset.load(prepared) if held_out(clip.name)))
    for speaker, results in known.items():
        print(_line(f"{speaker}, held out", results), flush=True)
    unknown = compare(model, _clips_in(others))
    unknown |= compare(model, (replace(clip, speaker=clip.name) for clip in _clips_in(apart)))
    for speaker, results in unknown.items():
        print(_line(speaker, results), flush=True)
    if unknown:
        print(_line("mean of the others", *unknown.values()))
    with suppress(OSError):
        hits, misses, pauses = voices(model)
        print(f"synthetic voices: closed p, b and m {hits:.2f}, closed open vowels {misses:.2f}, pauses {pauses:.4f}")
    for level in (0.0, 1e-4, 1e-2):
        average, deviation = stillness(model, level)
        print(f"noise {level:<8g} opening mean {average:.4f} std {deviation:.5f}")


def _clips_in(folders: Sequence[Path]) -> list[dataset.PreparedClip]:
    with tempfile.TemporaryDirectory() as prepared:
        for _ in prepare(folders, Path(prepared)):
            pass
        return dataset.load(Path(prepared))


def _line(name: str, *speakers: list[tuple[Score, Closures]]) -> str:
    """A line of means: over each speaker's clips, then over the speakers."""
    each = [np.mean([astuple(found) for found, _ in results], 0) for results in speakers]
    counts = np.sum([astuple(found) for results in speakers for _, found in results], 0)
    closed, false = counts[1] / max(1, counts[0]), counts[3] / max(1, counts[2])
    values = "".join(f"{value:10.4f}" for value in np.mean(each, 0))
    return f"{name:22s}{sum(map(len, speakers)):5d}{values}{closed:10.2f}{false:8.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--model", type=Path, help="folder with motion.onnx and basis.npz (default: bundled)")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders with clips of other people")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="folders with another person in each clip")
    args = parser.parse_args()
    report(open_model(args.model), args.prepared, args.others, args.apart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
