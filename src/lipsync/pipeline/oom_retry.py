"""Retry a job at a lower resolution when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from lipsync.errors import FrameTooSmall, NoFaceFound, OptionInvalid, OutOfMemory
from lipsync.pipeline.job import Job
from lipsync.types import Sides

T = TypeVar("T")

RESIZE_FACTORS = (1, 2, 4)
TOO_SMALL = (NoFaceFound, OptionInvalid, FrameTooSmall)  # errors that downscaling itself may cause


def retry_smaller_on_oom(attempt: Callable[[Job], T], job: Job) -> T:
    """Return the result of the first attempt that fits in memory, from the job's own resolution down to a quarter.

    Any other failure ends the job at once. Raises OutOfMemory if even the lowest resolution does not fit, or shows no
    usable face.
    """
    failure: BaseException | None = None
    first = factor = job.resize_factor
    for factor in (first, *(smaller for smaller in RESIZE_FACTORS if smaller > first)):
        try:
            return attempt(downscaled(job, factor))
        except (OutOfMemory, MemoryError) as exc:
            failure = _without_tracebacks(exc)
        except TOO_SMALL:
            if failure is None:
                raise
            break
    raise OutOfMemory(f"out of memory even at 1/{factor} resolution") from failure


def _without_tracebacks(exc: BaseException) -> BaseException:
    """Drop the tracebacks of the exception and its causes: their frames hold memory that the next attempt needs."""
    link: BaseException | None = exc
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return exc


def downscaled(job: Job, factor: int) -> Job:
    """Return the job with its video downscaled by ``factor``, and the options that are in pixels adapted."""
    if factor == job.resize_factor:
        return job
    box, pads = (
        None if sides is None else _scaled(job, factor, sides) for sides in (job.options.box, job.options.pads)
    )
    options = replace(job.options, box=box, pads=pads)
    return replace(job, resize_factor=factor, crop=_scaled(job, factor, job.crop), options=options)


def _scaled(job: Job, factor: int, sides: Sides) -> Sides:
    """Scale pixels to the new resolution; -1 stays an edge."""
    a, b, c, d = (n if n == -1 else n * job.resize_factor // factor for n in sides)
    return a, b, c, d
