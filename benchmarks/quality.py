"""Score the motion of results with an independent face tracker.

    python benchmarks/quality.py CLIPS --score SCORE.py [--score-python PYTHON] [--held-out COUNT]

CLIPS holds talking heads with their own audio. Each clip is driven by the next one's voice and scored against the next
one's frames; then each clip is driven by silence. With --held-out, CLIPS is the training corpus: COUNT sentences that
training never used drive the footage of another one each. SCORE.py takes ``pair OUTPUT --truth TRUTH --source SOURCE``
and ``silence OUTPUT``, and prints JSON; --score-python is the Python that has its dependencies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import length_of, lipsync

FIGURES = ("opening_r", "width_r", "lag_frames", "lmd", "jitter", "sharpness", "outside_psnr", "faces")


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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("--score", type=Path, required=True)
    parser.add_argument("--score-python", default=sys.executable)
    parser.add_argument("--held-out", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.mp4")
        for video, voice in pairs(options):
            subprocess.run(lipsync(video, voice, result), check=True)
            row = scored(options, "pair", result, "--truth", voice, "--source", video)
            rows.append(row)
            print(video.stem, "says", voice.stem, {key: row.get(key) for key in FIGURES}, flush=True)
        print("mean", {key: round(sum(abs(row[key]) for row in rows) / len(rows), 4) for key in FIGURES})
        for video, _ in [] if options.held_out else pairs(options):
            subprocess.run(
                lipsync(video, silence(Path(folder, "silence.wav"), float(length_of(video))), result), check=True
            )
            print(video.stem, "in silence", scored(options, "silence", result), flush=True)


if __name__ == "__main__":
    main()
