"""``lipsync sync``: one video, one audio track, one result per engine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync import __version__
from lipsync.cli.options import HelpFormatter, add_group, add_options, given_options
from lipsync.cli.progress import Display
from lipsync.errors import Cancelled, OptionInvalid, OutputExists
from lipsync.monitor import Monitor
from lipsync.pipeline.option import Group

if TYPE_CHECKING:
    from lipsync.pipeline.job import EngineResult, Enhanced, Job, Result


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Animates the mouth in a video or photo to an audio track. Everything else stays as it is."
    parser.epilog = "example: lipsync sync --video speaker.mp4 --audio voice.wav -o result.mp4"
    parser.formatter_class = HelpFormatter
    files = parser.add_argument_group(Group.INPUT)
    video_help = "video or photo of a face; --face, as in Wav2Lip, is the same"
    files.add_argument("--video", "--face", type=Path, required=True, metavar="FILE", help=video_help)
    files.add_argument("--audio", type=Path, required=True, metavar="FILE", help="audio file, or video with audio")
    files.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".mp4, .m4v, .mov, .mkv, .webm")
    files.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    add_options(files, Group.INPUT)
    for group in (Group.FACE, Group.ENGINE, Group.ENCODING, Group.ENHANCEMENT, Group.INFERENCE):
        add_group(parser, group)
    reports = add_group(parser, Group.REPORT)
    reports.add_argument("--manifest", type=Path, metavar="FILE", help="write a JSON provenance manifest")
    add_report_to(reports)
    parser.set_defaults(run=run)


def add_report_to(parser: argparse._ActionsContainer) -> None:
    """Add the arguments that ``perform`` reads."""
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected failure")


def run(arguments: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.pipeline.build_job import build_job

    job = build_job(arguments.video, arguments.audio, arguments.output, **given_options(arguments))
    _check_files(job, arguments)
    result = perform(job, arguments, monitor)
    if arguments.manifest is not None:
        from lipsync.pipeline.manifest import manifest_of, write_manifest

        try:
            write_manifest(manifest_of(job, result), arguments.manifest)
        except Cancelled as stop:
            raise Cancelled(str(stop), [output.output for output in result.outputs]) from stop
    return 0


def _check_files(job: Job, arguments: argparse.Namespace) -> None:
    """Raise OptionInvalid, OutputIsInput, OutputExists, OutputUnwritable or DiskFull."""
    from lipsync.media.output import check_not_input, check_writable

    manifest, outputs = arguments.manifest, list(_outputs(job))
    if manifest is not None:
        if any(manifest.resolve() == output.resolve() for output in outputs):
            raise OptionInvalid(f"{manifest}: used by a result; choose another name for the manifest")
        check_writable(manifest, job.inputs)
        outputs.append(manifest)
    for output in outputs:
        if output.is_file() and not arguments.overwrite:
            check_not_input(output, job.inputs)  # not merely an old result
            raise OutputExists(f"{output}: file exists; use --overwrite to replace it")


def _outputs(job: Job) -> Iterator[Path]:
    """Every media file that the job will write."""
    from lipsync.media.av_offset import av_offset_paths

    yield from dict.fromkeys((*job.outputs, *job.plain_outputs, *av_offset_paths(job.outputs, job.offset_copies)))


def perform(job: Job, arguments: argparse.Namespace, monitor: Monitor) -> Result:
    """Run the job, show its progress and print its result, as the arguments of ``add_report_to`` say."""
    from lipsync.pipeline.run import run as run_job

    complete = CompleteFiles(job)
    display = None if arguments.quiet or arguments.json else Display()
    if display is not None:
        monitor.call(display)
    try:
        result = run_job(job, monitor, observer=complete)
    except Cancelled as stop:
        raise Cancelled(str(stop), complete.files) from stop
    finally:
        if display is not None:
            display.clear()
    _report(result, arguments)
    return result


class CompleteFiles:
    """An ``OutputObserver`` that remembers which files are complete."""

    def __init__(self, job: Job) -> None:
        self._final, self._complete = job.outputs, dict[Path, None]()

    @property
    def files(self) -> list[Path]:
        return [path for path in self._complete if path.is_file()]

    def on_output(self, output: EngineResult) -> None:
        self._complete[output.output] = None

    def on_enhancement(self, enhanced: Enhanced) -> None:
        """At its end all final files exist, enhanced or renamed."""
        if enhanced.status != "processing":
            self._complete.update(dict.fromkeys(self._final))


def _report(result: Result, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(result_as_json(result)))
    elif not arguments.quiet:
        for warning in result.warnings:
            print(f"lipsync: note: {warning}", file=sys.stderr)
        seconds = result.seconds["total"]
        rate = result.frames / seconds if seconds else 0.0
        frames = f"{result.frames} frames, {result.faces} with the face"
        names = ", ".join(str(output.output) for output in result.outputs)
        for line in result.adaptations:
            print(f"lipsync: {line}", file=sys.stderr)
        print(f"{names}: {frames}, {seconds:.1f} s, {rate:.0f} frames/s")


def result_as_json(result: Result) -> dict[str, Any]:
    """The result as plain values: seconds as floats, the rate as a fraction, memory in bytes."""
    return {
        "output": str(result.output),
        "engine": result.engine,
        "outputs": [_output_as_json(output) for output in result.outputs],
        "frames": result.frames,
        "faces": result.faces,
        "edited": result.edited,
        "adapted": None if result.adapted is None else asdict(result.adapted),
        "width": result.width,
        "height": result.height,
        "rate": str(result.rate),
        "duration": round(float(result.duration), 3),
        "padding": list(result.padding),
        "resize_factor": result.resize_factor,
        "enhanced": None if result.enhanced is None else _enhanced_as_json(result.enhanced),
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        "peak_memory": result.peak_memory,
        "warnings": list(result.warnings),
        "version": __version__,
    }


def _output_as_json(output: EngineResult) -> dict[str, Any]:
    run_info = {} if output.run_info is None else asdict(output.run_info)
    for elsewhere in ("notes", "weights"):  # in the warnings, and in the manifest
        run_info.pop(elsewhere, None)
    fields = {"engine": output.engine, "variant": output.variant, "output": str(output.output)}
    return fields | {"edited": output.edited, "width": output.width, "height": output.height} | run_info


def _enhanced_as_json(enhanced: Enhanced) -> dict[str, Any]:
    fields = {"status": enhanced.status.value, "code": enhanced.code, "message": enhanced.message}
    return fields | {"by": enhanced.enhancers}
