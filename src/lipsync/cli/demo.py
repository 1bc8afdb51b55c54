"""``lipsync demo``: a first result from media that are part of the package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lipsync.cli.sync import add_output_to, perform
from lipsync.monitor import Monitor

NEXT_STEPS = """\
result:        {output}
before/after:  {comparison}
next:          lipsync sync --video YOUR_VIDEO.mp4 --audio YOUR_VOICE.wav -o result.mp4
               lipsync doctor        check the installation
               lipsync sync --help   list all options"""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="make a short example from bundled footage",
        description="Re-animates a bundled 3 s clip to a sentence by another speaker, and writes the result and a "
        "before/after comparison.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("lipsync-demo.mp4"),
        metavar="FILE",
        help="result (default: %(default)s)",
    )
    parser.add_argument("--photo", action="store_true", help="animate a bundled photo instead of the clip")
    add_output_to(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.demo import demo_media, write_comparison
    from lipsync.pipeline.job import Job

    comparison = options.output.with_stem(f"{options.output.stem}-before-after")
    with demo_media() as media:
        source = media.photo if options.photo else media.clip
        perform(Job(source, media.voice, options.output), options, monitor)
        write_comparison(source, options.output, comparison)
    if not options.quiet and not options.json:
        print(NEXT_STEPS.format(output=options.output, comparison=comparison))
    return 0
