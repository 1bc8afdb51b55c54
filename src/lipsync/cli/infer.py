"""``lipsync infer``: the command line of Wav2Lip's own inference.py, so that scripts change one word."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from lipsync.cli.options import HelpFormatter, add_group, add_option, given_options
from lipsync.cli.sync import add_report_to, perform
from lipsync.errors import OptionInvalid
from lipsync.monitor import Monitor
from lipsync.pipeline.option import Group
from lipsync.pipeline.options import OPTIONS

TRUE, FALSE = ("true", "yes", "1", "on", ""), ("false", "no", "0", "off", "none")
DETECT = -1  # as the first number of --box
SIDES = ("T", "B", "L", "R")
IMG_SIZE = 96  # pixels, the only size of the generator
DEFAULT_OUTPUT = Path("results", "result_voice.mp4")
RENAMED: Final = {"checkpoint_path": "checkpoint", "fps": "photo_rate", "wav2lip_batch_size": "batch_size"}
SAME_NAMES: Final = ("static", "pads", "resize_factor", "crop", "rotate")


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Accepts the flags of Wav2Lip's inference.py and fixes its known faults; --original reproduces "
        "them step by step. An existing output is replaced."
    )
    parser.epilog = "example: lipsync infer --checkpoint_path wav2lip_gan.pth --face speaker.mp4 --audio voice.wav"
    parser.formatter_class = HelpFormatter
    _add_files(parser)
    _add_face_and_frames(parser)
    add_group(parser, Group.INFERENCE)
    add_group(parser, Group.ENCODING)
    add_report_to(parser.add_argument_group("reports"))
    parser.set_defaults(run=run)


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("input and output").add_argument
    add("--checkpoint_path", required=True, metavar="FILE", help="weights: .pth, .pt or .onnx, or an installed name")
    add("--face", type=Path, required=True, metavar="FILE", help="video or photo of a face")
    add("--audio", type=Path, required=True, metavar="FILE", help="audio file, or video with audio")
    add("--outfile", type=Path, default=DEFAULT_OUTPUT, metavar="FILE", help="result (default: %(default)s)")
    add("--fps", metavar="RATE", help=OPTIONS["photo_rate"].full_help)


def _add_face_and_frames(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("face and frames")
    add = group.add_argument
    add("--static", type=_truth, nargs="?", const=True, metavar="BOOL", help=OPTIONS["static"].full_help)
    add("--pads", type=int, nargs=4, metavar=SIDES, help=f"{OPTIONS['pads'].help} (pixels; default: 0 10 0 0)")
    add("--face_det_batch_size", type=int, metavar="N", help="ignored: faces are not detected in batches")
    add("--wav2lip_batch_size", metavar="N", help=OPTIONS["batch_size"].full_help)
    add("--resize_factor", metavar="N", help=OPTIONS["resize_factor"].full_help)
    add("--crop", type=int, nargs=4, metavar=SIDES, help=f"{OPTIONS['crop'].help} (pixels; default: 0 -1 0 -1)")
    add("--box", type=int, nargs=4, metavar=SIDES, help=f"{OPTIONS['box'].help} (pixels; default: detect the face)")
    add("--rotate", action="store_true", help=OPTIONS["rotate"].full_help)
    add("--nosmooth", action="store_true", help="do not average face boxes over time")
    add("--img_size", type=int, default=IMG_SIZE, help=argparse.SUPPRESS)
    add_option(group, OPTIONS["original"])
    add_option(group, OPTIONS["av_offset"])


def run(arguments: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.pipeline.build_job import build_job

    if arguments.img_size != IMG_SIZE:
        raise OptionInvalid(f"invalid img_size {arguments.img_size}: expected {IMG_SIZE}, the generator's only size")
    job = build_job(arguments.face, arguments.audio, arguments.outfile, **_options(arguments))
    if arguments.outfile == DEFAULT_OUTPUT:
        from lipsync.files import make_folder

        make_folder(DEFAULT_OUTPUT.parent)  # the original expects it to exist
    perform(job, arguments, monitor)
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The original's flags as options of a job."""
    flags = RENAMED | {name: name for name in SAME_NAMES}
    given = {
        option: OPTIONS[option].parse(value)
        for flag, option in flags.items()
        if (value := getattr(arguments, flag)) is not None
    }
    if arguments.box is not None and arguments.box[0] != DETECT:
        given["box"] = arguments.box
    fixed = {"engine": "wav2lip", "allow_clipped": True, "liveliness": 0.0, "smooth": not arguments.nosmooth}
    return given_options(arguments) | given | fixed


def _truth(text: str) -> bool:
    """A Boolean flag's argument; the original took every word for true, even False."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"invalid value {text!r}: expected true or false")
