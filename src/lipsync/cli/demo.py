"""``lipsync demo``: a first result from media that are part of the package."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from lipsync.cli.sync import add_report_to, perform
from lipsync.monitor import Monitor

NEXT_STEPS = """\
before and after, side by side: {comparison}

Try next:
  lipsync sync --video {video} --audio {audio} -o result.mp4
  lipsync sync --help    list all options
  lipsync doctor         check the installation"""


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Re-animates a bundled 3 s clip to a sentence by another speaker. Writes the two inputs, the "
        "result and a side-by-side comparison to a folder. Files of an earlier run are replaced."
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("lipsync-demo"),
        metavar="FOLDER",
        help="folder to write to; created if missing (default: %(default)s)",
    )
    parser.add_argument("--photo", action="store_true", help="animate a bundled photo instead of the clip")
    add_report_to(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.demo import demo_media, write_comparison
    from lipsync.files import make_folder
    from lipsync.pipeline.job import Job

    folder: Path = options.output
    prefix = "photo-" if options.photo else ""
    result, comparison = folder / f"{prefix}result.mp4", folder / f"{prefix}before-after.mp4"
    make_folder(folder)
    with demo_media() as media:
        source = media.photo if options.photo else media.clip
        video, audio = copy_to(folder, source), copy_to(folder, media.voice)
        perform(Job(video, audio, result), options, monitor)
        write_comparison(video, result, comparison)
    if not options.quiet and not options.json:
        print(NEXT_STEPS.format(comparison=comparison, video=video, audio=audio))
    return 0


def copy_to(folder: Path, file: Path) -> Path:
    """Copy the file under its own name. Raises DiskFull, OutputUnwritable."""
    from lipsync.files import write_errors

    target = folder / file.name
    with write_errors(target):
        shutil.copyfile(file, target)
    return target
