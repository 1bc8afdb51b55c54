"""``lipsync infer``: the command line of Wav2Lip's own inference.py, so that scripts change one word."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.cli.models import store_of
from lipsync.cli.sync import add_encoding_to, add_network_to, add_output_to, encoding_of, frame_rate, perform
from lipsync.errors import OptionInvalid
from lipsync.monitor import Monitor

if TYPE_CHECKING:
    from lipsync.pipeline.job import Job

YES, NO = ("true", "yes", "1", "on", ""), ("false", "no", "0", "off", "none")
NOWHERE = [-1, -1, -1, -1]
SIDES = ("T", "B", "L", "R")
DEFAULT_OUTPUT = Path("results", "result_voice.mp4")


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "infer",
        help="Wav2Lip's inference.py, flag for flag",
        description="Takes what Wav2Lip's inference.py takes. The known faults of that are mended, unless --original "
        "asks for the same result step by step. An output that exists is replaced.",
        epilog="example: lipsync infer --checkpoint_path wav2lip_gan.pth --face speaker.mp4 --audio voice.wav",
    )
    add = parser.add_argument
    add("--checkpoint_path", required=True, metavar="FILE", help="weights: .pth, .pt or .onnx, or a name in the store")
    add("--face", type=Path, required=True, metavar="FILE", help="a video or a photo with a face")
    add("--audio", type=Path, required=True, metavar="FILE", help="a sound file, or a video's sound")
    add("--outfile", type=Path, default=DEFAULT_OUTPUT, metavar="FILE", help=f"where it goes ({DEFAULT_OUTPUT})")
    add("--static", type=_truth, nargs="?", const=True, default=False, metavar="BOOL", help="show the first frame only")
    add("--fps", type=frame_rate, default=Fraction(25), metavar="N", help="frames/s made of a photo (25)")
    add("--pads", type=int, nargs=4, default=None, metavar=SIDES, help="pixels added to the face's box (0 10 0 0)")
    add(
        "--face_det_batch_size", type=int, default=16, metavar="N", help="accepted; faces are not found in batches here"
    )
    add(
        "--wav2lip_batch_size",
        type=int,
        default=None,
        metavar="N",
        help="frames computed at once, at most (4, or 16 on a card)",
    )
    add("--resize_factor", type=int, default=1, metavar="N", help="a picture so many times smaller than the footage")
    add("--crop", type=int, nargs=4, default=[0, -1, 0, -1], metavar=SIDES, help="the part of the picture that is used")
    add("--box", type=int, nargs=4, default=NOWHERE, metavar=SIDES, help="where the face is, in place of finding it")
    add("--rotate", action="store_true", help="turn the picture clockwise by 90 degrees")
    add("--nosmooth", action="store_true", help="do not average the face's box over time")
    add("--img_size", type=int, default=96, help=argparse.SUPPRESS)
    add("--original", action="store_true", help="step by step as the original did it")
    add("--av-offset", type=int, default=0, metavar="MS", help="the mouth this much later than the sound")
    add_network_to(parser)
    add_encoding_to(parser)
    add_output_to(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    if options.img_size != 96:
        raise OptionInvalid(f"the generator's pictures have 96 pixels a side, not {options.img_size}")
    if options.outfile == DEFAULT_OUTPUT:
        from lipsync.files import make_folder

        make_folder(DEFAULT_OUTPUT.parent)  # which the original takes to be there
    perform(_job(options), options, monitor)
    return 0


def _job(options: argparse.Namespace) -> Job:
    from lipsync.engines.base import EngineOptions
    from lipsync.pipeline.job import Job

    return Job(
        options.face,
        options.audio,
        options.outfile,
        engines=("wav2lip",),
        encoding=encoding_of(options),
        photo_rate=options.fps,
        allow_clipped=True,
        options=EngineOptions(
            device=options.device,
            precision=options.precision,
            batch_size=options.wav2lip_batch_size or options.batch_size,
            original=options.original,
            checkpoint=options.checkpoint_path,
            models_dir=store_of(options).folder,
            pads=None if options.pads is None else tuple(options.pads),
            box=None if options.box[0] == -1 else tuple(options.box),
            smooth=not options.nosmooth,
        ),
        av_offset=Fraction(options.av_offset, 1000),
        resize_factor=options.resize_factor,
        rotate=options.rotate,
        crop=tuple(options.crop),
        static=options.static,
    )


def _truth(text: str) -> bool:
    """The original took every word for true, False as well."""
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
