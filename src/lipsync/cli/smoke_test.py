"""``lipsync smoke-test``: one task against a running service, as a client does it, and a check of its outputs."""

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

from lipsync.cli.client import HOME, KEY, Service, downloaded, kinds
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

LOOK = 0.5  # seconds between two looks at the task
SILENCE = 30.0  # seconds that the service may be away while a task runs: it may be starting again
SOUND_SLACK = Fraction(1, 10)  # seconds: an encoder's frame, and the silence that it begins with
FINAL_VARIANT, PLAIN_VARIANT = "final", "plain"
FINAL = ("completed", "failed", "cancelled")


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Uploads a face and a voice to a running service, has a task made of them, downloads each result "
        "and checks it. Without files it brings its own. Ends with 0, or with the code of the first failure."
    )
    parser.add_argument("--task-id", default=None, metavar="ID", help="run this task again instead of a new one")
    parser.add_argument("--url", default=HOME, help=f"where the service is ({HOME})")
    parser.add_argument("--key", default=None, help=f"API key; better in the environment, as {KEY}")
    parser.add_argument("--video", type=Path, default=None, metavar="FILE", help="a video or a photo with a face")
    parser.add_argument("--audio", type=Path, default=None, metavar="FILE", help="a sound file, or a video's sound")
    parser.add_argument("--engine", action="append", metavar="NAME", help="may be given more than once (rewrite)")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="for the task to end (600)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--debug", action="store_true", help="show where an unexpected failure comes from")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    """Raises what the service refuses and what the task fails with, by their codes; ChecksumMismatch, TimedOut."""
    _check(options)
    began = time.monotonic()
    report = Report(silent=options.json)
    service = Service(options.url, options.key if options.key is not None else os.environ.get(KEY, ""))
    with tempfile.TemporaryDirectory(prefix="lipsync-e2e-") as made, report.display(monitor):
        folder = Path(made)
        report.ok("service", f"{service.url} has {', '.join(service.ask('GET', '/v1/options')['engines'])}")
        sound: Fraction | None = None
        if options.task_id is not None:
            task = again(options.task_id, service, report)
        else:
            wish, sound = ordered(options, service, report)
            task = created(wish, service, report)
        task = followed(task, service, options.timeout, monitor)
        report.ok("completed", f"attempt {task['attempts']}")
        for told in task["outputs"]:
            check_output(told, task, sound, service, folder, monitor, report)
    seconds = round(time.monotonic() - began, 1)
    if options.json:
        print(json.dumps({"task_id": task["id"], "seconds": seconds, "checks": [asdict(c) for c in report.checks]}))
    else:
        print(f"{len(report.checks)} checks passed in {seconds} s")
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.timeout <= 0:
        raise OptionInvalid("--timeout has to be more than no time")
    if options.task_id is not None and (options.video or options.audio or options.engine):
        raise OptionInvalid("--task-id brings its own face, audio and engines")
    if (options.video is None) != (options.audio is None):
        raise OptionInvalid("--video and --audio are given together, or neither")
    for path in (options.video, options.audio):
        if path is not None and not path.is_file():
            raise FileMissing(f"{path}: no such file")


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and what was found. There are only those that passed: the first other one is raised."""

    name: str
    found: str


class Report:
    """The checks so far, told as they pass unless ``silent``, and the progress between them."""

    def __init__(self, *, silent: bool) -> None:
        self.checks: list[Check] = []
        self._show = None if silent else Display()

    def ok(self, name: str, found: str) -> None:
        self.checks.append(Check(name, found))
        if self._show is not None:
            self._show.clear()
            print(f"ok  {name:<12} {found}", flush=True)

    @contextmanager
    def display(self, monitor: Monitor) -> Iterator[None]:
        """Show what the monitor is told, and take it off the screen at the end."""
        if self._show is None:
            yield
            return
        monitor.call(self._show)
        try:
            yield
        finally:
            self._show.clear()


def ordered(options: argparse.Namespace, service: Service, report: Report) -> tuple[dict[str, Any], Fraction]:
    """What the task is to be made of, uploaded, and how many seconds of sound that is.

    Raises InputError, and as Service.
    """
    from lipsync.demo import demo_media
    from lipsync.media.probe import audio_of, probe

    with ExitStack() as stack:
        video, audio = options.video, options.audio
        if video is None:
            media = stack.enter_context(demo_media())
            video, audio = media.clip, media.voice
        duration = audio_of(probe(audio)).duration
        return {"engines": options.engine or ["rewrite"]} | uploaded(video, audio, service, report), duration


def uploaded(video: Path, audio: Path, service: Service, report: Report) -> dict[str, Any]:
    """Upload both inputs and return them as a task's request names them. Raises ChecksumMismatch, and as Service."""
    inputs: dict[str, Any] = {}
    for name, path in (("video", video), ("audio", audio)):
        told = service.upload(path)
        if sha256_of(path) != told["sha256"]:
            raise ChecksumMismatch(f"{path}: the service has something else than was sent")
        report.ok("upload", f"{path.name}, {told['bytes'] / MEGABYTE:.2f} MB, arrived whole")
        inputs[name] = {"upload": told["id"]}
    return inputs


def created(wish: Mapping[str, Any], service: Service, report: Report) -> dict[str, Any]:
    """A new task, asked for twice with one Idempotency-Key. Raises ChecksumMismatch if that makes two."""
    once = {"Idempotency-Key": f"e2e-{uuid.uuid4().hex}"}
    task = service.ask("POST", "/v1/tasks", wish, once)
    if (other := service.ask("POST", "/v1/tasks", wish, once)["id"]) != task["id"]:
        raise ChecksumMismatch(f"one Idempotency-Key made two tasks, {task['id']} and {other}")
    report.ok("created", f"task {task['id']}, once for two requests")
    return task


def again(task_id: str, service: Service, report: Report) -> dict[str, Any]:
    """The task, queued again if it failed or was cancelled; of a completed one, a new task like it.

    Raises TaskMissing, and OptionInvalid where an address of the completed one's is shown without its secrets only.
    """
    path = f"/v1/tasks/{quote(task_id, safe='')}"
    task = service.ask("GET", path)
    if task["status"] == "completed":
        wish = {name: _source(task[name]) for name in ("video", "audio")}
        return created(wish | {"engines": task["engines"], "options": task["options"]}, service, report)
    if task["status"] in FINAL:
        report.ok("retried", f"task {task['id']}, which was {task['status']}")
        return service.ask("POST", f"{path}/retry")
    report.ok("found", f"task {task['id']} is {task['status']}")
    return task


def _source(told: Mapping[str, Any]) -> dict[str, str]:
    if told["upload"] is not None:
        return {"upload": told["upload"]}
    if told["url"].endswith("..."):
        raise OptionInvalid(f"{told['url']}: the service does not tell the rest of that address, so no new task has it")
    return {"url": told["url"]} | ({"sha256": told["sha256"]} if told["sha256"] else {})


def followed(task: dict[str, Any], service: Service, timeout: float, monitor: Monitor) -> dict[str, Any]:
    """The task once it is completed. Raises TimedOut after ``timeout`` seconds, what it failed with, FetchFailed if
    the service is away for long."""
    began = heard = time.monotonic()
    since: dict[str, float] = {}
    while task["status"] not in FINAL:
        monitor.check()
        if time.monotonic() - began > timeout:
            raise TimedOut(f"task {task['id']} is {task['status']} after {timeout:g} s; it goes on without us")
        time.sleep(LOOK)
        try:
            task = service.ask("GET", f"/v1/tasks/{task['id']}")
        except FetchFailed:
            if time.monotonic() - heard > SILENCE:
                raise
            continue
        heard = time.monotonic()
        if shown := task["progress"]:
            seconds = heard - since.setdefault(shown["stage"], heard)
            monitor.report(Progress(shown["stage"], shown["done"], shown["total"], seconds))
    if task["status"] == "cancelled":
        raise TransitionForbidden(f"task {task['id']} was cancelled by somebody")
    if task["status"] == "failed":
        problem = task["error"]
        raise kinds().get(problem["code"], LipsyncError)(f"task {task['id']} failed: {problem['message']}")
    wanted = [(engine, variant) for engine in task["engines"] for variant in variants(task)]
    made = [(output["engine"], output["variant"]) for output in task["outputs"]]
    extra = set(made) - set(wanted) - {(engine, FINAL_VARIANT) for engine in task["engines"]}
    if set(wanted) - set(made) or extra or len(made) > len(set(made)):
        raise ChecksumMismatch(f"task {task['id']} has the results {sorted(made)}, not {sorted(wanted)}")
    return task


def variants(task: Mapping[str, Any]) -> Iterator[str]:
    """What there has to be of each engine; where enhancing failed with one, others may have a final result as well."""
    from lipsync.media.av_offset import av_offset_name

    options, step = task["options"], task["enhancement"]["status"]
    asked = bool(options.get("enhance") or options.get("upscale"))
    if not asked or step == "completed":
        yield FINAL_VARIANT
    if asked:
        yield PLAIN_VARIANT
    for offset in dict.fromkeys(options.get("offset_copies") or ()):
        yield av_offset_name(Fraction(offset, 1000))


def check_output(
    told: Mapping[str, Any],
    task: Mapping[str, Any],
    sound: Fraction | None,
    service: Service,
    folder: Path,
    monitor: Monitor,
    report: Report,
) -> None:
    """Download a result and look at it. Raises ChecksumMismatch, FetchFailed, and what is wrong with a broken file."""
    from lipsync.media.probe import probe_video

    variant = "" if told["variant"] == FINAL_VARIANT else f"-{told['variant']}"
    name, target = f"{told['engine']}{variant}", folder / "result.mp4"
    size, digest = downloaded(told, target, monitor)
    _same(name, "bytes", size, told["size"])
    _same(name, "SHA-256", digest, told["sha256"])
    report.ok(name, f"{size / MEGABYTE:.2f} MB as announced, sha256 {digest[:12]}")
    clip = probe_video(target)
    frames = (task["performance"] or {}).get("frames")
    report.ok(name, check_clip(clip, told, name, frames, sound))


def check_clip(clip: VideoClip, told: Mapping[str, Any], name: str, frames: int | None, sound: Fraction | None) -> str:
    """What is in a result, in words. Raises ChecksumMismatch if it is not what was announced, or not as long as the
    sound, seconds; NoVideoStream, NoAudioStream."""
    from lipsync.media.probe import audio_of

    video, audio = clip.video, audio_of(clip)
    slack = 1 / video.rate
    _same(name, "width and height", (video.width, video.height), (told["width"], told["height"]))
    _close(name, video.duration, Fraction(told["duration"]), slack, "was announced")
    _close(name, video.duration, audio.duration, slack + SOUND_SLACK, "its own sound has")
    if frames is not None:
        _same(name, "frames", video.frame_count, frames)
    words = f"{video.width}x{video.height}, {video.frame_count} frames, {float(video.duration):.2f} s"
    if sound is None:
        return words
    _close(name, video.duration, sound, slack, "the sound has")
    return f"{words}; the sound has {float(sound):.2f} s"


def _same(name: str, what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise ChecksumMismatch(f"the result of {name} has {what} {found}, not {wanted}")


def _close(name: str, found: Fraction, wanted: Fraction, slack: Fraction, whose: str) -> None:
    if abs(found - wanted) > slack:
        raise ChecksumMismatch(f"the result of {name} lasts {float(found):.3f} s; {whose} {float(wanted):.3f} s")
