"""Measure how long ``lipsync sync`` takes to end after Ctrl-C at different moments, and check that no file is left.

python benchmarks/interrupt.py VIDEO --audio AUDIO [--at 0.5 1 1.5 2 3 5 8]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from measure import lipsync, write_audio


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--at", type=float, nargs="+", default=[0.5, 1, 1.5, 2, 3, 5, 8])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio = write_audio(options.audio, Path(folder, "audio.wav"), 600)
        for moment in options.at:
            output = Path(folder, "result", "result.mp4")
            output.parent.mkdir(exist_ok=True)
            with subprocess.Popen(lipsync(options.video, audio, output), stderr=subprocess.PIPE) as process:
                time.sleep(moment)
                process.send_signal(signal.SIGINT)
                began = time.monotonic()
                process.communicate()
            left = [path.name for path in output.parent.iterdir()]
            took = time.monotonic() - began
            print(f"after {moment:.1f} s: ended in {took:.2f} s, exit {process.returncode}, left {left}", flush=True)


if __name__ == "__main__":
    main()
