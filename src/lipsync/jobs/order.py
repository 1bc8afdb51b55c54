"""What a task's options mean for the job that is done for it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from lipsync.engines.base import EngineOptions
from lipsync.errors import OptionInvalid
from lipsync.jobs.task import Task
from lipsync.media.encoding import Encoding
from lipsync.pipeline.job import Job

SUFFIX = ".mp4"
DEFAULTS = {
    "select": "largest",
    "faithful": False,
    "av_offset": 0,  # milliseconds
    "resize_factor": 1,
    "photo_rate": 25,
    "allow_clipped": False,
    "codec": "libx264",
    "crf": 17,
    "preset": "veryfast",
}


def job_of(task: Task, video: Path, audio: Path, output: Path, models: Path | None) -> Job:
    """The job with everything that the task does not say as ``DEFAULTS`` have it. Raises OptionInvalid."""
    unknown = sorted(set(task.options) - set(DEFAULTS))
    if unknown:
        raise OptionInvalid(f"there is no option {unknown[0]}; there are {', '.join(DEFAULTS)}")
    told: dict[str, Any] = {**DEFAULTS, **task.options}
    try:
        return Job(
            video,
            audio,
            output,
            engines=task.engines,
            select=str(told["select"]),
            encoding=Encoding(str(told["codec"]), int(told["crf"]), str(told["preset"])),
            photo_rate=Fraction(str(told["photo_rate"])),
            allow_clipped=bool(told["allow_clipped"]),
            options=EngineOptions(faithful=bool(told["faithful"]), models=models),
            delay=Fraction(int(told["av_offset"]), 1000),
            resize_factor=int(told["resize_factor"]),
        )
    except (TypeError, ValueError, ZeroDivisionError) as exc:
        raise OptionInvalid(f"an option's value makes no sense: {exc}") from exc
