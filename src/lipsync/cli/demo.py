"""``lipsync demo``: a result to look at, without any file of one's own."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from lipsync.cli.sync import add_output_to, perform
from lipsync.monitor import Monitor


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="make a short clip from a photo and a voice that come with the demo extra",
        description="Makes a photo of NASA astronaut Eileen Collins speak, with the voice of espeak-ng.",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("lipsync-demo.mp4"), metavar="FILE")
    parser.add_argument("--text", default=None, help="what is said, in English")
    add_output_to(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.demo import SENTENCE, write_photo, write_voice
    from lipsync.pipeline.job import Job

    with tempfile.TemporaryDirectory(prefix="lipsync-demo-") as folder:
        photo, voice = Path(folder) / "photo.png", Path(folder) / "voice.wav"
        write_photo(photo)
        write_voice(voice, options.text or SENTENCE)
        perform(Job(photo, voice, options.output), options, monitor)
    return 0
