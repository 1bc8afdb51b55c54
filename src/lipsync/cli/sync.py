"""``lipsync sync``: one face, one voice, one result."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync import __version__
from lipsync.cli.models import add_models_dir_to, store_of
from lipsync.cli.progress import Display
from lipsync.errors import Cancelled, OptionInvalid, OutputExists
from lipsync.monitor import Monitor

if TYPE_CHECKING:
    from lipsync.media.encoding import Encoding
    from lipsync.pipeline.job import EngineResult, Enhanced, Job, Result


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "sync",
        help="move the mouth in a video or photo to a voice",
        description="Moves the mouth in a video or a photo to a voice, and leaves everything else as it is.",
        epilog="example: lipsync sync --video speaker.mp4 --audio voice.wav -o result.mp4",
    )
    parser.add_argument("--video", type=Path, required=True, metavar="FILE", help="a video or a photo with a face")
    parser.add_argument("--audio", type=Path, required=True, metavar="FILE", help="a sound file, or a video's sound")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".mp4, .mov or .mkv")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="rewrite (default), wav2lip, wav2lip-gan, hybrid, or passthrough, which changes nothing; may be given "
        "more than once, and then each adds its name to its result's",
    )
    parser.add_argument(
        "--face-select", default="largest", help="whose mouth, of several: largest (default), left, right, centre"
    )
    parser.add_argument(
        "--photo-rate", type=frame_rate, default=Fraction(25), metavar="N", help="frames/s made of a photo"
    )
    parser.add_argument("--allow-clipped", action="store_true", help="use sound that is badly distorted")
    parser.add_argument(
        "--av-offset",
        type=int,
        default=0,
        metavar="MS",
        help="the mouth this much later than the sound (negative: earlier)",
    )
    parser.add_argument(
        "--resize-factor", type=int, default=1, metavar="N", help="a picture so many times smaller than the footage"
    )
    add_enhancement_to(parser)
    group = parser.add_argument_group("wav2lip and wav2lip-gan")
    group.add_argument("--original", action="store_true", help="step by step as the original did it, faults included")
    group.add_argument("--checkpoint", metavar="FILE", help="weights to use, a file or a name in lipsync models list")
    group.add_argument(
        "--detail",
        type=float,
        default=1.0,
        metavar="0..1",
        help="how much of the footage's own texture the generated mouth gets (1)",
    )
    add_network_to(parser)
    add_encoding_to(parser)
    add_output_to(parser)
    parser.set_defaults(run=run)


def add_enhancement_to(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("after the lip-sync")
    group.add_argument(
        "--enhance", metavar="NAME[:0..1]", help="make the new mouth sharper; how much of it is shown, all by default"
    )
    group.add_argument(
        "--fidelity", type=float, default=0.7, metavar="0..1", help="codeformer: near to the face, or beautiful (0.7)"
    )
    group.add_argument(
        "--upscale", metavar="2|4[:NAME]", help="make the picture larger, with the best that is here or by name"
    )
    group.add_argument(
        "--offset-copies",
        type=offsets,
        default=(),
        metavar="MS,MS",
        help="also copies whose mouth is so much later than the sound (-120 to 120): --offset-copies=-80,80",
    )
    group.add_argument("--manifest", type=Path, metavar="FILE", help="write down what was made of what, and how: .json")


def add_network_to(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("networks that are brought along")
    group.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, onnxruntime, cuda, tensorrt, coreml or directml; for --upscale ncnn and vulkan, too",
    )
    group.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16")
    group.add_argument(
        "--batch-size", type=int, metavar="N", help="frames computed at once, at most (4, or 16 on a card)"
    )
    add_models_dir_to(group)


def add_encoding_to(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("encoding")
    add = group.add_argument
    add(
        "--encode",
        default="fast",
        metavar="NAME",
        help="fast (default), q17, q20, small, hevc, av1, prores, lossless, or by a card nvenc, hevc-nvenc, av1-nvenc, "
        "qsv, hevc-qsv, av1-qsv, amf, hevc-amf, videotoolbox, hevc-videotoolbox; what follows changes that choice",
    )
    add("--codec", metavar="NAME", help="video encoder as FFmpeg names it (libx264)")
    add("--crf", type=int, metavar="N", help="quality, lower is better (17)")
    add("--preset", metavar="NAME", help="encoder's preset (veryfast)")
    add("--pixel-format", metavar="NAME", help="such as yuv420p (default: as the footage)")
    add("--audio-bitrate", type=int, metavar="N", help="bits/s of the sound (192000)")


def add_output_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--debug", action="store_true", help="show where an unexpected failure comes from")


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    job = _job(options)
    if options.manifest is not None:
        _check_manifest(options.manifest, job)
    for output in wanted_files(job, options.manifest):
        if output.is_file() and not options.overwrite:
            _refuse_input(output, job)
            raise OutputExists(f"{output}: exists already; --overwrite replaces it")
    result = perform(job, options, monitor)
    if options.manifest is not None:
        from lipsync.pipeline.manifest import manifest_of, write_manifest

        try:
            write_manifest(manifest_of(job, result), options.manifest)
        except Cancelled as stop:
            raise Cancelled(str(stop), [made.output for made in result.outputs]) from stop
    return 0


def wanted_files(job: Job, manifest: Path | None) -> Iterator[Path]:
    """Every file that the job will write."""
    from lipsync.media.av_offset import av_offset_paths

    yield from dict.fromkeys((*job.outputs, *job.plain_outputs, *av_offset_paths(job.outputs, job.offset_copies)))
    if manifest is not None:
        yield manifest


def perform(job: Job, options: argparse.Namespace, monitor: Monitor) -> Result:
    """Run the job with the display that the options ask for, and print what came of it."""
    from lipsync.pipeline.run import run as run_job

    complete = Complete(job)
    display = None if options.quiet or options.json else Display()
    if display is not None:
        monitor.call(display)
    try:
        result = run_job(job, monitor, observer=complete)
    except Cancelled as stop:
        raise Cancelled(str(stop), complete.files) from stop
    finally:
        if display is not None:
            display.clear()
    _report(result, options)
    return result


class Complete:
    """Remembers which files are whole; see ``pipeline.job.OutputObserver``."""

    def __init__(self, job: Job) -> None:
        self._finals, self._told = job.outputs, dict[Path, None]()

    @property
    def files(self) -> list[Path]:
        return [path for path in self._told if path.is_file()]

    def made(self, output: EngineResult) -> None:
        self._told[output.output] = None

    def enhancing(self, enhanced: Enhanced) -> None:
        """After its end all final files are there, whatever they were made from."""
        if enhanced.step != "processing":
            self._told.update(dict.fromkeys(self._finals))


def _check_manifest(path: Path, job: Job) -> None:
    """Raises OutputIsInput, OutputUnwritable, DiskFull, and OptionInvalid where a result goes there."""
    from lipsync.media.writer import check_place

    if any(path.resolve() == output.resolve() for output in wanted_files(job, None)):
        raise OptionInvalid(f"{path}: is where a result goes, so the manifest needs another place")
    check_place(path, (job.video, job.audio))


def _refuse_input(output: Path, job: Job) -> None:
    """An output that is one of the inputs is that mistake, not an old result."""
    from lipsync.media.writer import refuse_input

    refuse_input(output, (job.video, job.audio))


def _job(options: argparse.Namespace) -> Job:
    from lipsync.engines.base import EngineOptions
    from lipsync.enhancers.base import EnhancerOptions
    from lipsync.pipeline.job import Job
    from lipsync.pipeline.wish import parse_enhancement

    models = store_of(options).folder
    enhancer = EnhancerOptions(
        fidelity=options.fidelity, device=options.device, precision=options.precision, models_dir=models
    )
    return Job(
        options.video,
        options.audio,
        options.output,
        engines=tuple(options.engine or ["rewrite"]),
        face_select=options.face_select,
        encoding=encoding_of(options),
        photo_rate=options.photo_rate,
        allow_clipped=options.allow_clipped,
        options=EngineOptions(
            device=options.device,
            precision=options.precision,
            batch_size=options.batch_size,
            original=options.original,
            checkpoint=options.checkpoint,
            models_dir=models,
        ),
        av_offset=Fraction(options.av_offset, 1000),
        resize_factor=options.resize_factor,
        detail=options.detail,
        enhancement=parse_enhancement(options.enhance, options.upscale, enhancer),
        offset_copies=tuple(Fraction(offset, 1000) for offset in options.offset_copies),
    )


def encoding_of(options: argparse.Namespace) -> Encoding:
    """What the options of ``add_encoding_to`` say. Raises OptionInvalid."""
    from lipsync.media.encoding import encoding_named

    said = ("codec", "crf", "preset", "pixel_format", "audio_bitrate")
    told = {name: getattr(options, name) for name in said if getattr(options, name) is not None}
    return replace(encoding_named(options.encode), **told)


def _report(result: Result, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(as_json(result)))
    elif not options.quiet:
        for warning in result.warnings:
            print(f"lipsync: note: {warning}", file=sys.stderr)
        seconds = result.seconds["total"]
        rate = result.frames / seconds if seconds else 0.0
        frames = f"{result.frames} frames, {result.faces} with the face"
        names = ", ".join(str(made.output) for made in result.outputs)
        print(f"{names}: {frames}, {seconds:.1f} s, {rate:.0f} frames/s")


def as_json(result: Result) -> dict[str, Any]:
    """The result as plain values: seconds as floats, the rate as a fraction, memory in bytes."""
    return {
        "output": str(result.output),
        "engine": result.engine,
        "outputs": [_engine_as_json(made) for made in result.outputs],
        "frames": result.frames,
        "faces": result.faces,
        "edited": result.edited,
        "width": result.width,
        "height": result.height,
        "rate": str(result.rate),
        "duration": round(float(result.duration), 3),
        "padding": list(result.padding),
        "resize_factor": result.resize_factor,
        "enhanced": None if result.enhanced is None else _step_as_json(result.enhanced),
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        "peak_memory": result.peak_memory,
        "warnings": list(result.warnings),
        "version": __version__,
    }


def _engine_as_json(made: EngineResult) -> dict[str, Any]:
    run_info = {} if made.run_info is None else asdict(made.run_info)
    for told_elsewhere in ("notes", "weights"):
        run_info.pop(told_elsewhere, None)
    told = {"engine": made.engine, "variant": made.variant, "output": str(made.output), "edited": made.edited}
    return told | {"width": made.width, "height": made.height} | run_info


def _step_as_json(enhanced: Enhanced) -> dict[str, Any]:
    told = {"step": enhanced.step.value, "code": enhanced.code, "message": enhanced.message}
    return told | {"by": enhanced.told}


def offsets(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",") if part.strip()))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: milliseconds with commas between: --offset-copies=-80,80") from None


def frame_rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text} is no frame rate") from None
    if not 1 <= rate <= 120:
        raise argparse.ArgumentTypeError("between 1 and 120 frames/s")
    return rate
