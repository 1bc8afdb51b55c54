from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from lipsync.engines.base import EngineOptions
from lipsync.errors import FrameTooSmall, InferenceFailed, NoFaceFound, OptionInvalid, OutOfMemory
from lipsync.pipeline.job import Job
from lipsync.pipeline.oom_retry import downscaled, retry_smaller_on_oom

T = TypeVar("T")


def retried(attempt: Callable[[int], T], first: int) -> T:
    """Retry an attempt that receives the resize factor."""
    job = Job(Path("a"), Path("b"), Path("c.mp4"), resize_factor=first)
    return retry_smaller_on_oom(lambda smaller: attempt(smaller.resize_factor), job)


@pytest.mark.parametrize("error", [OutOfMemory, MemoryError])
def test_a_lower_resolution_is_tried_when_memory_runs_out(error):
    tried = []

    def attempt(factor: int) -> str:
        tried.append(factor)
        if factor < 4:
            raise error("full")
        return f"done at {factor}"

    assert retried(attempt, 1) == "done at 4"
    assert tried == [1, 2, 4]


def test_the_first_attempt_that_fits_is_the_result():
    assert retried(lambda factor: factor, 1) == 1
    assert retried(lambda factor: factor, 3) == 3


def test_out_of_memory_at_the_lowest_resolution():
    def attempt(factor: int) -> None:
        raise OutOfMemory("full")

    with pytest.raises(OutOfMemory, match="1/4 resolution"):
        retried(attempt, 2)
    with pytest.raises(OutOfMemory, match="1/8 resolution"):
        retried(attempt, 8)


@pytest.mark.parametrize("error", [InferenceFailed, RuntimeError])
def test_any_other_failure_ends_it_at_once(error):
    tried = []

    def attempt(factor: int) -> None:
        tried.append(factor)
        raise error("CUDA error: an illegal memory access was encountered")

    with pytest.raises(error):
        retried(attempt, 1)
    assert tried == [1]


@pytest.mark.parametrize("error", [NoFaceFound, OptionInvalid, FrameTooSmall])
def test_an_attempt_that_became_too_small_is_reported_as_out_of_memory(error):
    def attempt(factor: int) -> None:
        raise OutOfMemory("full") if factor == 1 else error("too small")

    with pytest.raises(OutOfMemory, match="1/2 resolution"):
        retried(attempt, 1)

    def too_small_from_the_start(factor: int) -> None:
        raise error("too small")

    with pytest.raises(error):
        retried(too_small_from_the_start, 1)


def test_a_failed_attempt_holds_no_memory():
    import gc
    import weakref

    class Large:
        pass

    alive = []

    def attempt(factor: int) -> None:
        large = Large()
        if alive:
            gc.collect()
            assert alive[-1]() is None
        alive.append(weakref.ref(large))
        try:
            deep_inside(large)
        except RuntimeError as exc:
            raise OutOfMemory("full") from exc

    def deep_inside(large: Large) -> None:
        raise RuntimeError("bad allocation")

    with pytest.raises(OutOfMemory):
        retried(attempt, 1)
    assert len(alive) == 3


def test_options_in_pixels_are_downscaled_too():
    options = EngineOptions(box=(100, 300, 80, 240), pads=(0, 20, 10, 10))
    job = Job(Path("a"), Path("b"), Path("c.mp4"), crop=(20, -1, 40, 600), options=options)
    small = downscaled(job, 2)
    assert small.resize_factor == 2
    assert small.crop == (10, -1, 20, 300)
    assert small.options.box == (50, 150, 40, 120)
    assert small.options.pads == (0, 10, 5, 5)
    assert downscaled(job, 1) is job
    assert downscaled(Job(Path("a"), Path("b"), Path("c.mp4")), 4).options.box is None
