"""Measure how well a motion network follows speech, on the mouth's motion alone, before rendering.

    python training/evaluate.py PREPARED_DIR [--model OUT_DIR] [--others CLIPS_DIR]

Reports the held-out clips, in their own voice and in voices unknown to the network, then the clips of other people in
CLIPS_DIR, each compared with its own video; then the opening in silence and noise. Columns: Pearson's r of lip opening
and of mouth width; lmd, the mean distance of the 40 lip points from the truth, both as displacements from the mean of
the least open fifth; lag behind the truth in frames, at the peak of r; jitter, the lip points' second difference
divided by the truth's; gain, the slope of the true opening against the predicted one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from fractions import Fraction
from pathlib import Path

import dataset
import numpy as np
from prepare import held_out, read_audio, read_face

from lipsync.faces import geometry
from lipsync.faces.landmarker import Landmarker
from lipsync.models.devices import open_session
from lipsync.models.session_cache import SessionCache
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.features import features, normalise
from lipsync.speech.motion import NETWORK_RATE, MotionModel, load_basis, open_motion_model
from lipsync.types import Float32

KINDS = ("own voice", "vocoder voices", "synthetic voices")


@dataclass(frozen=True, slots=True)
class Score:
    """The results for one clip, see the module's docstring."""

    opening: float
    width: float
    lmd: float
    lag: float
    jitter: float
    gain: float


def score(predicted: Float32, true: Float32) -> Score:
    """Compare predicted and true mouths, meshes (n, 468, 3) in the face frame."""
    opened, target = geometry.opening(predicted), geometry.opening(true)
    wide = np.corrcoef(_mouth_width(predicted), _mouth_width(true))[0, 1]
    ours, theirs = _displacement(predicted), _displacement(true)
    jitter = np.abs(np.diff(ours, 2, 0)).mean() / np.abs(np.diff(theirs, 2, 0)).mean()
    return Score(
        float(np.corrcoef(opened, target)[0, 1]),
        float(wide),
        float(np.linalg.norm(ours - theirs, axis=-1).mean()),
        _lag(opened, target),
        float(jitter),
        float(np.polyfit(opened, target, 1)[0]),
    )


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


def mesh(model: MotionModel, speech_features: Iterator[Float32], frames: int) -> Float32:
    """The predicted mouth (frames, 468, 3) in the face frame, on the canonical face."""
    rows = np.concatenate(list(model.predict_from_features(speech_features, Fraction(NETWORK_RATE), frames)))
    return np.asarray(geometry.canonical_face() + model.basis.displacement(rows), np.float32)


def held_out_scores(model: MotionModel, clips: Iterable[dataset.PreparedClip]) -> dict[str, list[Score]]:
    """Scores of the held-out clips, by kind of voice."""
    scores: dict[str, list[Score]] = {kind: [] for kind in KINDS}
    for clip in clips:
        if held_out(clip.name):
            true = _true(clip.landmarks)
            for power, kind in zip(clip.voices, clip.kinds, strict=True):
                speech_features = normalise([np.exp(power.astype(np.float32))]) if kind else features([clip.audio])
                scores[KINDS[kind]].append(score(mesh(model, speech_features, len(true)), true))
    return scores


def others_scores(model: MotionModel, folder: Path) -> dict[str, list[Score]]:
    """Scores of clips of other people, by clip name."""
    scores = {}
    with Landmarker.open(SessionCache()) as landmarker:
        for path in sorted(folder.glob("*.mp4")):
            landmarks = read_face(path, landmarker)
            if landmarks is not None:
                true = _true(landmarks)
                scores[path.stem] = [score(mesh(model, features([read_audio(path)]), len(true)), true)]
    return scores


def _true(landmarks: Float32) -> Float32:
    return geometry.fit_pose(landmarks, geometry.canonical_face()).to_face(landmarks[:, : geometry.MESH])


def stillness(model: MotionModel, level: float, seconds: int = 10) -> tuple[float, float]:
    """Mean and standard deviation of the lip opening for white noise of an RMS level (1 is full scale)."""
    noise = np.random.default_rng(0).standard_normal(seconds * SPEECH_RATE) * level
    opened = geometry.opening(mesh(model, features([np.asarray(noise, np.float32)]), seconds * NETWORK_RATE))
    return float(opened.mean()), float(opened.std())


def open_model(folder: Path | None) -> MotionModel:
    """Open the bundled network, or the one that training wrote to ``folder``."""
    if folder is None:
        return open_motion_model(SessionCache())
    return MotionModel(open_session(folder / "motion.onnx", threads=1), load_basis(folder / "basis.npz"))


def _line(name: str, scores: list[Score]) -> str:
    mean = np.mean([astuple(one) for one in scores], 0) if scores else np.full(6, np.nan)
    return f"{name:18s}{len(scores):5d}" + "".join(f"{value:10.4f}" for value in mean)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--model", type=Path, help="folder with motion.onnx and basis.npz (default: bundled)")
    parser.add_argument("--others", type=Path, help="folder with clips of other people")
    args = parser.parse_args()
    model = open_model(args.model)
    print(f"{'':18s}clips" + "".join(f"{field.name:>10s}" for field in fields(Score)))
    for kind, scores in held_out_scores(model, dataset.load(args.prepared)).items():
        print(_line(kind, scores), flush=True)
    if args.others:
        by_name = others_scores(model, args.others)
        for name, scores in by_name.items():
            print(_line(name, scores))
        print(_line("others, all", [one for scores in by_name.values() for one in scores]))
    for level in (0.0, 1e-4, 1e-2):
        average, deviation = stillness(model, level)
        print(f"noise {level:<8g} opening mean {average:.4f} std {deviation:.5f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
