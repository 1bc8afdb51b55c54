"""Compare ``lipsync sync`` with a plain transcode of the same file with the same encoder settings, in turn.

    python benchmarks/speed.py VIDEO --audio AUDIO [--rounds 3] [--engine wav2lip]

There are two transcodes: with PyAV's defaults, and with frame threads for decoding and encoding. AUDIO is repeated or
cut to the video's duration. Times are those of whole processes, start included.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from measure import engine_options, frames_of, length_of, lipsync, measured, write_audio

TRANSCODE = Path(__file__).with_name("transcode.py")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="rewrite")
    options = parser.parse_args()
    length = float(length_of(options.video))
    ratios, threaded_ratios, walls = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        audio = write_audio(options.audio, Path(folder, "audio.wav"), length)
        more = engine_options(options.engine, Path(folder, "models"))
        plain_out, result_out = Path(folder, "plain.mp4"), Path(folder, "result.mp4")
        for _ in range(options.rounds):
            transcode = [sys.executable, str(TRANSCODE), str(options.video), str(audio), str(plain_out)]
            plain, threaded = measured(transcode), measured([*transcode, "threaded"])
            result = measured(lipsync(options.video, audio, result_out, *more))
            ratios.append(result.wall / plain.wall)
            threaded_ratios.append(result.wall / threaded.wall)
            walls.append(result.wall)
            print(
                f"transcode {plain.wall:.2f} s, threaded {threaded.wall:.2f} s (CPU {threaded.cpu:.2f})  "
                f"lipsync {result.wall:.2f} s (CPU {result.cpu:.2f}), peak {result.peak / 1e6:.0f} MB  "
                f"ratio {ratios[-1]:.2f}, to threaded {threaded_ratios[-1]:.2f}",
                flush=True,
            )
    print(f"median: ratio {statistics.median(ratios):.2f}, to threaded {statistics.median(threaded_ratios):.2f}")
    wall, frames = statistics.median(walls), frames_of(options.video)
    print(f"{length:.1f} s of video in {wall:.2f} s, {frames / wall:.1f} frames/s with start-up")


if __name__ == "__main__":
    main()
