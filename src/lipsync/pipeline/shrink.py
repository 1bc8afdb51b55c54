"""What is done when memory runs out: the same with a smaller picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from lipsync.errors import OutOfMemory
from lipsync.pipeline.job import Job

T = TypeVar("T")

FACTORS = (1, 2, 4)  # how many times smaller than the footage


def first_that_fits(attempt: Callable[[int], T], first: int) -> tuple[int, T]:
    """The factor and the result of the first attempt for which memory suffices, from the factor ``first`` on.

    Any other failure ends it at once. Raises OutOfMemory if the smallest picture is too large.
    """
    factors = (first, *(factor for factor in FACTORS if factor > first))
    failure: BaseException | None = None
    for factor in factors:
        try:
            return factor, attempt(factor)
        except (OutOfMemory, MemoryError) as exc:
            failure = exc.with_traceback(None)  # else it would hold the memory that the next attempt needs
    raise OutOfMemory(f"memory ran out, even with pictures made {factors[-1]} times smaller") from failure


def shrunk(job: Job, factor: int) -> Job:
    """The job with a picture ``factor`` times smaller than the footage, and all that is told in its pixels."""
    if factor == job.resize_factor:
        return job
    box, pads = (None if it is None else _scaled(job, factor, it) for it in (job.options.box, job.options.pads))
    options = replace(job.options, box=box, pads=pads)
    return replace(job, resize_factor=factor, crop=_scaled(job, factor, job.crop), options=options)


def _scaled(job: Job, factor: int, sides: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Pixels, of which -1 stands for an edge."""
    a, b, c, d = (n if n == -1 else n * job.resize_factor // factor for n in sides)
    return a, b, c, d
