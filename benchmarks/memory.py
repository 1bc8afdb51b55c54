"""Measure the peak memory of ``lipsync sync`` for a short and a long input made from the same footage.

python benchmarks/memory.py VIDEO --audio AUDIO [--short 20] [--long 600] [--engine wav2lip]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measure import engine_options, length_of, lipsync, measured, write_audio, write_looped


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--short", type=float, default=20)
    parser.add_argument("--long", type=float, default=600)
    parser.add_argument("--engine", default="rewrite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        more = engine_options(options.engine, Path(folder, "models"))
        for seconds in (options.short, options.long):
            video = write_looped(options.video, Path(folder, f"video{seconds:.0f}.mp4"), seconds)
            length = float(length_of(video))
            audio = write_audio(options.audio, Path(folder, "audio.wav"), length)
            cost = measured(lipsync(video, audio, Path(folder, "result.mp4"), *more))
            print(f"{length:6.1f} s of video: peak {cost.peak / 1e6:.0f} MB, {cost.wall:.1f} s", flush=True)


if __name__ == "__main__":
    main()
