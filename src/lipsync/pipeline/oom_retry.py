"""What is done when memory runs out: the same with a smaller picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from lipsync.errors import FrameTooSmall, NoFaceFound, OptionInvalid, OutOfMemory
from lipsync.media.transform import NO_CROP
from lipsync.pipeline.job import Job
from lipsync.types import Sides

T = TypeVar("T")

FACTORS = (1, 2, 4)  # how many times smaller than the footage
TOO_SMALL = (NoFaceFound, OptionInvalid, FrameTooSmall)  # what a picture that was made smaller may fail with


def retry_smaller_on_oom(attempt: Callable[[int], T], first: int) -> T:
    """The result of the first attempt for which memory suffices, from the factor ``first`` on.

    Any other failure ends it at once. Raises OutOfMemory if the smallest picture is too large, or too small to work on.
    """
    failure: BaseException | None = None
    factor = first
    for factor in (first, *(factor for factor in FACTORS if factor > first)):
        try:
            return attempt(factor)
        except (OutOfMemory, MemoryError) as exc:
            failure = _without_frames(exc)
        except TOO_SMALL:
            if failure is None:
                raise
            break
    raise OutOfMemory(f"memory ran out; made {factor} times smaller the picture is of no more use") from failure


def _without_frames(exc: BaseException) -> BaseException:
    """The failure and what led to it without their frames, which hold the memory that the next attempt needs."""
    part: BaseException | None = exc
    while part is not None:
        part.__traceback__ = None
        part = part.__cause__ or part.__context__
    return exc


def downscaled(job: Job, factor: int) -> Job:
    """The job with a picture ``factor`` times smaller than the footage, and all that is told in its pixels."""
    if factor == job.resize_factor:
        return job
    box, pads = (None if it is None else _scaled(job, factor, it) for it in (job.options.box, job.options.pads))
    options = replace(job.options, box=box, pads=pads)
    return replace(job, resize_factor=factor, crop=_scaled(job, factor, job.crop), options=options)


def without_framing(job: Job) -> Job:
    """The job with pictures as they are in the file."""
    return replace(job, resize_factor=1, rotate=False, crop=NO_CROP)


def _scaled(job: Job, factor: int, sides: Sides) -> Sides:
    """Pixels, of which -1 stands for an edge."""
    a, b, c, d = (n if n == -1 else n * job.resize_factor // factor for n in sides)
    return a, b, c, d
