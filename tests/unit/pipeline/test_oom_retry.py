from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.engines.base import EngineOptions
from lipsync.errors import FrameTooSmall, InferenceFailed, NoFaceFound, OptionInvalid, OutOfMemory
from lipsync.pipeline.job import Job
from lipsync.pipeline.oom_retry import downscaled, retry_smaller_on_oom, without_framing


@pytest.mark.parametrize("error", [OutOfMemory, MemoryError])
def test_the_next_smaller_picture_when_memory_runs_out(error):
    tried = []

    def attempt(factor: int) -> str:
        tried.append(factor)
        if factor < 4:
            raise error("full")
        return f"made after {factor}"

    assert retry_smaller_on_oom(attempt, 1) == "made after 4"
    assert tried == [1, 2, 4]


def test_the_first_that_fits_is_taken():
    assert retry_smaller_on_oom(lambda factor: factor, 1) == 1
    assert retry_smaller_on_oom(lambda factor: factor, 3) == 3


def test_when_nothing_fits_it_says_so():
    def attempt(factor: int) -> None:
        raise OutOfMemory("full")

    with pytest.raises(OutOfMemory, match="4 times smaller"):
        retry_smaller_on_oom(attempt, 2)
    with pytest.raises(OutOfMemory, match="8 times smaller"):
        retry_smaller_on_oom(attempt, 8)


@pytest.mark.parametrize("error", [InferenceFailed, RuntimeError])
def test_any_other_failure_ends_it_at_once(error):
    tried = []

    def attempt(factor: int) -> None:
        tried.append(factor)
        raise error("CUDA error: an illegal memory access was encountered")

    with pytest.raises(error):
        retry_smaller_on_oom(attempt, 1)
    assert tried == [1]


@pytest.mark.parametrize("error", [NoFaceFound, OptionInvalid, FrameTooSmall])
def test_a_picture_that_became_too_small_is_still_a_lack_of_memory(error):
    def attempt(factor: int) -> None:
        raise OutOfMemory("full") if factor == 1 else error("too small")

    with pytest.raises(OutOfMemory, match="2 times smaller"):
        retry_smaller_on_oom(attempt, 1)

    def too_small_from_the_start(factor: int) -> None:
        raise error("too small")

    with pytest.raises(error):
        retry_smaller_on_oom(too_small_from_the_start, 1)


def test_a_failure_does_not_hold_what_filled_the_memory():
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

    def deep_inside(held: Large) -> None:
        raise RuntimeError("bad allocation")

    with pytest.raises(OutOfMemory):
        retry_smaller_on_oom(attempt, 1)
    assert len(alive) == 3


def test_what_is_told_in_pixels_shrinks_with_the_picture():
    options = EngineOptions(box=(100, 300, 80, 240), pads=(0, 20, 10, 10))
    job = Job(Path("a"), Path("b"), Path("c.mp4"), crop=(20, -1, 40, 600), options=options)
    small = downscaled(job, 2)
    assert small.resize_factor == 2
    assert small.crop == (10, -1, 20, 300)
    assert small.options.box == (50, 150, 40, 120)
    assert small.options.pads == (0, 10, 5, 5)
    assert downscaled(job, 1) is job
    assert without_framing(small).crop == (0, -1, 0, -1)
    assert without_framing(small).resize_factor == 1
    assert downscaled(Job(Path("a"), Path("b"), Path("c.mp4")), 4).options.box is None
