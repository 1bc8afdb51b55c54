"""``lipsync smoke-test``: run one task on a running service, as a client would, and check its results."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lipsync.cli.client import API_KEY_VARIABLE, DEFAULT_URL, ServiceClient, download_output, error_classes
from lipsync.cli.progress import MEGABYTE, Display
from lipsync.errors import (
    ChecksumMismatch,
    FetchFailed,
    FileMissing,
    LipsyncError,
    OptionInvalid,
    TimedOut,
    TransitionForbidden,
)
from lipsync.files import sha256_of
from lipsync.monitor import Monitor, Progress

if TYPE_CHECKING:
    from lipsync.types import VideoClip

POLL_INTERVAL = 0.5  # seconds
MAX_OUTAGE = 30.0  # seconds without a response while a task runs: the service may be restarting
AUDIO_TOLERANCE = Fraction(1, 10)  # seconds: one frame of the encoder and its priming silence
FINAL_VARIANT, PLAIN_VARIANT = "final", "plain"
FINAL_STATUSES = ("completed", "failed", "cancelled")


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Uploads a video and an audio file to a running service, runs a task, downloads the results and checks them. "
        "Uses bundled media unless files are given. Exit code: 0, or that of the first failure."
    )
    add = parser.add_argument
    add("--task-id", default=None, metavar="ID", help="run this task again instead of creating one")
    add("--url", default=DEFAULT_URL, help=f"base URL of the service (default: {DEFAULT_URL})")
    add("--key", default=None, help=f"API key (default: ${API_KEY_VARIABLE}, which keeps it out of process lists)")
    add("--video", type=Path, default=None, metavar="FILE", help="video or photo with a face (default: bundled)")
    add("--audio", type=Path, default=None, metavar="FILE", help="audio file, or video with audio (default: bundled)")
    add("--engine", action="append", metavar="NAME", help="engine to run; repeatable (default: rewrite)")
    add("--timeout", type=float, default=600, metavar="SECONDS", help="time limit for the task (default: 600)")
    add("--json", action="store_true", help="print the result as one JSON object")
    add("--debug", action="store_true", help="show the traceback of an unexpected failure")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    """Run the test. Raises the service's and the task's errors by their codes, ChecksumMismatch, TimedOut."""
    _check_options(options)
    start = time.monotonic()
    report = Report(silent=options.json)
    service = ServiceClient(
        options.url, options.key if options.key is not None else os.environ.get(API_KEY_VARIABLE, "")
    )
    with tempfile.TemporaryDirectory(prefix="lipsync-smoke-test-") as folder, report.display(monitor):
        report.ok("service", f"{service.url} has {', '.join(service.request('GET', '/v1/options')['engines'])}")
        audio_seconds: Fraction | None = None
        if options.task_id is not None:
            task = rerun_task(options.task_id, service, report)
        else:
            request, audio_seconds = prepare_request(options, service, report)
            task = create_task(request, service, report)
        task = wait_for_task(task, service, options.timeout, monitor)
        report.ok("completed", f"attempt {task['attempts']}")
        for output in task["outputs"]:
            check_result(output, task, audio_seconds, Path(folder), monitor, report)
    seconds = round(time.monotonic() - start, 1)
    if options.json:
        print(json.dumps({"task_id": task["id"], "seconds": seconds, "checks": [asdict(c) for c in report.checks]}))
    else:
        print(f"{len(report.checks)} checks passed in {seconds} s")
    return 0


def _check_options(options: argparse.Namespace) -> None:
    if options.timeout <= 0:
        raise OptionInvalid("--timeout must be more than 0 seconds")
    if options.task_id is not None and (options.video or options.audio or options.engine):
        raise OptionInvalid("--task-id cannot be combined with --video, --audio or --engine")
    if (options.video is None) != (options.audio is None):
        raise OptionInvalid("--video and --audio must be given together")
    for path in (options.video, options.audio):
        if path is not None and not path.is_file():
            raise FileMissing(f"{path}: no such file")


@dataclass(frozen=True, slots=True)
class Check:
    """A passed check and its finding; a failed one is raised as an error."""

    name: str
    found: str


class Report:
    """Passed checks, printed as they pass unless ``silent``, with progress in between."""

    def __init__(self, *, silent: bool) -> None:
        self.checks: list[Check] = []
        self._display = None if silent else Display()

    def ok(self, name: str, found: str) -> None:
        """Record a passed check."""
        self.checks.append(Check(name, found))
        if self._display is not None:
            self._display.clear()
            print(f"ok  {name:<12} {found}", flush=True)

    @contextmanager
    def display(self, monitor: Monitor) -> Iterator[None]:
        """Show the monitor's progress within the block."""
        if self._display is None:
            yield
            return
        monitor.call(self._display)
        try:
            yield
        finally:
            self._display.clear()


def prepare_request(
    options: argparse.Namespace, service: ServiceClient, report: Report
) -> tuple[dict[str, Any], Fraction]:
    """Upload the inputs; return the body of a new task and the audio's duration in seconds.

    Raises InputError, and as ServiceClient.
    """
    from lipsync.demo import demo_media
    from lipsync.media.probe import audio_of, probe

    with ExitStack() as stack:
        video, audio = options.video, options.audio
        if video is None:
            media = stack.enter_context(demo_media())
            video, audio = media.clip, media.voice
        duration = audio_of(probe(audio)).duration
        return {"engines": options.engine or ["rewrite"]} | upload_inputs(video, audio, service, report), duration


def upload_inputs(video: Path, audio: Path, service: ServiceClient, report: Report) -> dict[str, Any]:
    """Upload both files; return the inputs of a task's body. Raises ChecksumMismatch, and as ServiceClient."""
    inputs: dict[str, Any] = {}
    for name, path in (("video", video), ("audio", audio)):
        upload = service.upload(path)
        if sha256_of(path) != upload["sha256"]:
            raise ChecksumMismatch(f"{path}: the service received different content")
        report.ok("upload", f"{path.name}, {upload['bytes'] / MEGABYTE:.2f} MB, checksum matches")
        inputs[name] = {"upload": upload["id"]}
    return inputs


def create_task(body: Mapping[str, Any], service: ServiceClient, report: Report) -> dict[str, Any]:
    """Create a task with two requests of one Idempotency-Key. Raises ChecksumMismatch if that creates two."""
    headers = {"Idempotency-Key": f"smoke-test-{uuid.uuid4().hex}"}
    task = service.request("POST", "/v1/tasks", body, headers)
    if (repeated := service.request("POST", "/v1/tasks", body, headers)["id"]) != task["id"]:
        raise ChecksumMismatch(f"one Idempotency-Key created two tasks, {task['id']} and {repeated}")
    report.ok("created", f"task {task['id']}, one for two requests")
    return task


def rerun_task(task_id: str, service: ServiceClient, report: Report) -> dict[str, Any]:
    """Retry a failed or cancelled task, create a copy of a completed one, or return an unfinished one.

    Raises TaskMissing, and OptionInvalid for a completed task whose addresses the service redacts.
    """
    path = f"/v1/tasks/{quote(task_id, safe='')}"
    task = service.request("GET", path)
    if task["status"] == "completed":
        body = {name: _input_of(task[name]) for name in ("video", "audio", "reference") if task[name] is not None}
        return create_task(body | {"engines": task["engines"], "options": task["options"]}, service, report)
    if task["status"] in FINAL_STATUSES:
        report.ok("retried", f"task {task['id']}, which was {task['status']}")
        return service.request("POST", f"{path}/retry")
    report.ok("found", f"task {task['id']} is {task['status']}")
    return task


def _input_of(source: Mapping[str, Any]) -> dict[str, str]:
    if source["upload"] is not None:
        return {"upload": source["upload"]}
    if source["url"].endswith("..."):
        raise OptionInvalid(f"{source['url']}: the service redacts this address, so the task cannot be copied")
    return {"url": source["url"]} | ({"sha256": source["sha256"]} if source["sha256"] else {})


def wait_for_task(task: dict[str, Any], service: ServiceClient, timeout: float, monitor: Monitor) -> dict[str, Any]:
    """Wait until the task is completed, and check that all its results exist.

    Raises TimedOut after ``timeout`` seconds, the task's own error, FetchFailed after a long outage of the service.
    """
    start = last_response = time.monotonic()
    stage_starts: dict[str, float] = {}
    while task["status"] not in FINAL_STATUSES:
        monitor.check()
        if time.monotonic() - start > timeout:
            raise TimedOut(f"task {task['id']} is {task['status']} after {timeout:g} s; it continues on the service")
        time.sleep(POLL_INTERVAL)
        try:
            task = service.request("GET", f"/v1/tasks/{task['id']}")
        except FetchFailed:
            if time.monotonic() - last_response > MAX_OUTAGE:
                raise
            continue
        last_response = time.monotonic()
        if progress := task["progress"]:
            seconds = last_response - stage_starts.setdefault(progress["stage"], last_response)
            monitor.report(Progress(progress["stage"], progress["done"], progress["total"], seconds))
    _check_completed(task)
    return task


def _check_completed(task: Mapping[str, Any]) -> None:
    if task["status"] == "cancelled":
        raise TransitionForbidden(f"task {task['id']} was cancelled")
    if task["status"] == "failed":
        error = task["error"]
        raise error_classes().get(error["code"], LipsyncError)(f"task {task['id']} failed: {error['message']}")
    expected = {(engine, variant) for engine in task["engines"] for variant in expected_variants(task)}
    optional = {(engine, FINAL_VARIANT) for engine in task["engines"]}
    actual = [(output["engine"], output["variant"]) for output in task["outputs"]]
    if expected - set(actual) or set(actual) - expected - optional or len(actual) > len(set(actual)):
        raise ChecksumMismatch(f"task {task['id']} has the results {sorted(actual)}, expected {sorted(expected)}")


def expected_variants(task: Mapping[str, Any]) -> Iterator[str]:
    """Yield the variants that every engine must have; some may have a final one where enhancing failed for others."""
    from lipsync.media.av_offset import av_offset_name

    options, status = task["options"], task["enhancement"]["status"]
    enhanced = bool(options.get("enhance") or options.get("upscale"))
    if not enhanced or status == "completed":
        yield FINAL_VARIANT
    if enhanced:
        yield PLAIN_VARIANT
    for offset in dict.fromkeys(options.get("offset_copies") or ()):
        yield av_offset_name(Fraction(offset, 1000))


def check_result(
    output: Mapping[str, Any],
    task: Mapping[str, Any],
    audio_seconds: Fraction | None,
    folder: Path,
    monitor: Monitor,
    report: Report,
) -> None:
    """Download a result and check it. Raises ChecksumMismatch, FetchFailed, and InputError for a broken file."""
    from lipsync.media.probe import probe_video

    variant = "" if output["variant"] == FINAL_VARIANT else f"-{output['variant']}"
    name, target = f"{output['engine']}{variant}", folder / "result.mp4"
    size, sha256 = download_output(output, target, monitor)
    _check_equal(name, "bytes", size, output["size"])
    _check_equal(name, "SHA-256", sha256, output["sha256"])
    report.ok(name, f"{size / MEGABYTE:.2f} MB, checksum matches, sha256 {sha256[:12]}")
    frame_count = (task["performance"] or {}).get("frames")
    report.ok(name, check_clip(probe_video(target), output, name, frame_count, audio_seconds))


def check_clip(
    clip: VideoClip, output: Mapping[str, Any], name: str, frame_count: int | None, audio_seconds: Fraction | None
) -> str:
    """Compare a result with the task's record and the audio's duration in seconds; return a one-line description.

    Raises ChecksumMismatch, NoAudioStream.
    """
    from lipsync.media.probe import audio_of

    video, audio = clip.video, audio_of(clip)
    tolerance = 1 / video.rate
    _check_equal(name, "width and height", (video.width, video.height), (output["width"], output["height"]))
    _check_close(name, video.duration, Fraction(output["duration"]), tolerance, "the task's record")
    _check_close(name, video.duration, audio.duration, tolerance + AUDIO_TOLERANCE, "its own audio")
    if frame_count is not None:
        _check_equal(name, "frames", video.frame_count, frame_count)
    text = f"{video.width}x{video.height}, {video.frame_count} frames, {float(video.duration):.2f} s"
    if audio_seconds is None:
        return text
    _check_close(name, video.duration, audio_seconds, tolerance, "the audio")
    return f"{text}; audio {float(audio_seconds):.2f} s"


def _check_equal(name: str, quantity: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise ChecksumMismatch(f"{name}: expected {quantity} {expected}, got {actual}")


def _check_close(name: str, actual: Fraction, expected: Fraction, tolerance: Fraction, source: str) -> None:
    if abs(actual - expected) > tolerance:
        raise ChecksumMismatch(f"{name}: expected {float(expected):.3f} s as {source}, got {float(actual):.3f} s")
