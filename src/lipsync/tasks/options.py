"""A task's options: their defaults, their check, and the job built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from lipsync.media.encoding import PRESETS
from lipsync.pipeline.build_job import build_job
from lipsync.pipeline.job import Job
from lipsync.pipeline.option import Door
from lipsync.pipeline.options import checked_options, options_of
from lipsync.tasks.task import JSON, Task

DEFAULTS: Final[Mapping[str, JSON]] = {name: option.json_default for name, option in options_of(Door.API).items()}


def job_of(task: Task, inputs: Mapping[str, Path], folder: Path, models: Path | None, seconds: float | None) -> Job:
    """The job of a task, with its results in ``folder``.

    ``inputs``: the local files of ``task.inputs``. ``seconds``: time limit of the enhancement.

    Raises OptionInvalid.
    """
    options = checked_options(task.options, Door.API)
    output = folder / f"result{PRESETS[options['encode']].suffix}"
    files = {"engine": task.engines, "models_dir": models, "reference": inputs.get("reference")}
    job = build_job(inputs["video"], inputs["audio"], output, **files, **options)
    if job.enhancement is None:
        return job
    return replace(job, enhancement=replace(job.enhancement, seconds=seconds, required=False))


def check_options(options: Mapping[str, JSON], engines: Sequence[str] = ("rewrite",)) -> None:
    """OptionInvalid unless a job can be built from the options, whatever the inputs are."""
    nowhere = Path()
    build_job(nowhere, nowhere, nowhere, engine=engines, **checked_options(options, Door.API))
