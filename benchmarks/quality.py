"""Score the motion of results with an independent face tracker.

    python benchmarks/quality.py CLIPS --score SCORE.py [--score-python PYTHON] [--held-out COUNT]
        [--silence CLIP_OR_FOLDER...] [--covered NAME=FIRST-LAST...] [--only pairs|silence] [--option=...]

CLIPS holds talking heads with their own audio. Each clip is driven by the next one's voice and scored against the next
one's frames, the truth; then each clip, and those of --silence, is driven by silence. With --held-out, CLIPS is the
training corpus: COUNT sentences that training never used drive the footage of another one each. SCORE.py takes ``pair
OUTPUT --truth TRUTH --source SOURCE``, prints JSON, and has a function ``track``; --score-python is the Python that has
its dependencies. --option passes an option to ``lipsync sync``.

Further figures of pairs: ``opening_spread`` and ``width_spread``, the standard deviation over the truth's;
``closures``, how many of the truth's closures (runs of frames with an opening below 0.02 eye distances that neither
begin nor end the clip) the result reproduces within two frames, and how many there are; ``near``, the same below 0.03.

In silence: ``std``, the standard deviation of the opening in eye distances, and ``leakage``, the correlation of the
result's opening with the source's. --covered names frames to leave out because something covers the mouth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import wave
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from measure import length_of, lipsync
from mouths import MouthTrack, add_scorer, faces_in, track_mouth
from numpy.typing import NDArray

FIGURES = ("opening_r", "width_r", "lag_frames", "lmd", "jitter", "sharpness", "outside_psnr", "faces")
SPREADS = ("opening_spread", "width_spread")
REQUIRED = (
    "opening_r >= 0.83, width_r >= 0.58, |lag| <= 1 each, lmd <= 0.0225, jitter 0.8-1.1, sharpness >= 0.95, "
    "opening_spread 0.9-1.1, width_spread >= 0.85, closures >= 80 %"
)
MAX_STD, MAX_LEAKAGE = 0.004, 0.15
CLOSURE, NEAR_CLOSURE = 0.02, 0.03  # eye distances
CLOSURE_FRAMES = 2  # that a closure may be early or late


def held_out(name: str) -> bool:
    return zlib.crc32(name.encode()) % 20 == 0  # as training/prepare.py chooses


def pairs(options: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    clips = sorted(options.clips.glob("*.mp4"))
    if options.held_out:
        clips = [clip for clip in clips if held_out(clip.stem)][: options.held_out]
    yield from zip(clips, [*clips[1:], clips[0]], strict=True)


def scored(options: argparse.Namespace, *arguments: object) -> dict[str, Any]:
    command = [options.score_python, str(options.score), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))


def silence(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * round(16_000 * seconds)))
    return path


def compared(result: MouthTrack, truth: MouthTrack) -> dict[str, Any]:
    """Spreads of the result over the truth's, and (reproduced, all) closures below both limits."""
    count = min(len(result.opening), int(len(truth.opening) * result.rate / truth.rate))
    row: dict[str, Any] = {}
    for name, own, real in (
        ("opening_spread", result.opening, truth.opening),
        ("width_spread", result.width, truth.width),
    ):
        row[name] = round(float(own[:count].std() / truth.resampled(real, result.rate, count).std()), 3)
    real = truth.resampled(truth.opening, result.rate, count)
    row["closures"], row["near"] = (closures(result.opening, real, limit) for limit in (CLOSURE, NEAR_CLOSURE))
    return row


def closures(result: NDArray[np.float32], truth: NDArray[np.float32], limit: float) -> tuple[int, int]:
    """How many of the truth's closures the result reproduces, and how many there are."""
    closed = truth < limit
    edges = [0, *(np.flatnonzero(np.diff(closed)) + 1), len(closed)]
    runs = [(a, b) for a, b in pairwise(edges) if closed[a] and a > 0 and b < len(closed)]
    reproduced = sum(bool((result[max(a - CLOSURE_FRAMES, 0) : b + CLOSURE_FRAMES] < limit).any()) for a, b in runs)
    return reproduced, len(runs)


def score_pairs(options: argparse.Namespace, folder: Path) -> None:
    rows, result = [], folder / "result.mp4"
    truths: dict[Path, MouthTrack] = {}
    for video, voice in pairs(options):
        subprocess.run(lipsync(video, voice, result, *options.option), check=True)
        row = scored(options, "pair", result, "--truth", voice, "--source", video)
        truths[voice] = track_mouth(voice, options)
        row |= compared(track_mouth(result, options), truths[voice])
        rows.append(row)
        shown = {key: row.get(key) for key in (*FIGURES, *SPREADS, "closures", "near")}
        print(video.stem, "says", voice.stem, shown, flush=True)
    means = {key: round(sum(abs(row[key]) for row in rows) / len(rows), 4) for key in (*FIGURES, *SPREADS)}
    for key in ("closures", "near"):
        reproduced, known = np.sum([row[key] for row in rows], axis=0)
        means[key] = f"{reproduced} of {known} = {reproduced / max(known, 1):.0%}"
    print("mean", means)
    print("median spreads", {key: round(float(np.median([row[key] for row in rows])), 3) for key in SPREADS})
    print("required:", REQUIRED)


def free_frames(video: Path, options: argparse.Namespace, count: int) -> NDArray[np.bool_]:
    free = np.ones(count, bool)
    for name, frames in (item.split("=") for item in options.covered):
        if name == video.stem:
            first, last = map(int, frames.split("-"))
            free[first : last + 1] = False
    return free


def score_silence(options: argparse.Namespace, folder: Path) -> None:
    videos = [] if options.held_out else [video for video, _ in pairs(options)]
    figures, result = [], folder / "result.mp4"
    for video in [*videos, *faces_in(options.silence)]:
        audio = silence(folder / "silence.wav", float(length_of(video)))
        subprocess.run(lipsync(video, audio, result, *options.option), check=True)
        track, source = track_mouth(result, options), track_mouth(video, options)
        count = min(len(track.found), len(source.found))
        seen = track.found[:count] & source.found[:count] & free_frames(video, options, count)
        own, real = track.opening[:count][seen], source.opening[:count][seen]
        std, leakage = own.std(), np.corrcoef(own, real)[0, 1]
        figures.append((std, abs(leakage)))
        print(f"{video.stem} in silence: mean {own.mean():.4f} std {std:.4f} leakage {leakage:.2f}", flush=True)
    if figures:
        std, leakage = np.max(figures, axis=0)
        print(f"largest std {std:.4f} (at most {MAX_STD}), leakage {leakage:.2f} (at most {MAX_LEAKAGE})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    add_scorer(parser, required=True)
    parser.add_argument("--held-out", type=int, default=0)
    parser.add_argument("--silence", type=Path, nargs="+", default=[])
    parser.add_argument("--covered", nargs="+", default=[])
    parser.add_argument("--only", choices=("pairs", "silence"))
    parser.add_argument("--option", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "silence":
            score_pairs(options, Path(folder))
        if options.only != "pairs":
            score_silence(options, Path(folder))


if __name__ == "__main__":
    main()
