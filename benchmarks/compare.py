"""Compare this checkout with an older one: time and peak memory of the same job, in turn.

    python benchmarks/compare.py OLD_CHECKOUT VIDEO --audio AUDIO [--rounds 5] [--engine rewrite]

AUDIO is repeated or cut to the video's duration. Prints the medians of the pairwise ratios new / old.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Cost, length_of, measured, write_audio

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("old", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", default="rewrite")
    options = parser.parse_args()
    walls, cpus, peaks = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        audio = write_audio(options.audio, Path(folder, "audio.wav"), float(length_of(options.video)))
        for number in range(options.rounds):
            checkouts = [options.old, HERE] if number % 2 else [HERE, options.old]
            costs = {checkout: run(checkout, options, audio, Path(folder, "result.mp4")) for checkout in checkouts}
            new, old = costs[HERE], costs[options.old]
            walls.append(new.wall / old.wall)
            cpus.append(new.cpu / old.cpu)
            peaks.append(new.peak / old.peak)
            print(f"time {walls[-1]:.3f}, CPU {cpus[-1]:.3f}, memory {peaks[-1]:.3f}", flush=True)
    medians = [statistics.median(ratios) for ratios in (walls, cpus, peaks)]
    print("median new / old: time {:.3f}, CPU {:.3f}, memory {:.3f}".format(*medians))


def run(checkout: Path, options: argparse.Namespace, audio: Path, output: Path) -> Cost:
    """Run one job with the sources of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    command = [sys.executable, "-m", "lipsync", "sync"]
    help_text = subprocess.run([*command, "--help"], env=environment, capture_output=True, text=True, check=True).stdout
    video = "--video" if "--video" in help_text else "--face"  # its name in older checkouts
    arguments = [video, str(options.video), "--audio", str(audio), "-o", str(output), "--engine", options.engine]
    return measured([*command, "--quiet", "--overwrite", *arguments], environment)


if __name__ == "__main__":
    main()
