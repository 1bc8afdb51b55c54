from __future__ import annotations

import threading

import cv2
import pytest

from lipsync.pipeline.opencv_threads import single_threaded_opencv


@pytest.fixture(autouse=True)
def two_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    yield
    cv2.setNumThreads(before)


def test_one_job_restores_the_thread_count():
    with single_threaded_opencv():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == 2


def test_overlapping_jobs_restore_the_thread_count_after_the_last():
    first_runs, second_runs, first_ended = (threading.Event() for _ in range(3))
    counts: list[int] = []

    def first() -> None:
        with single_threaded_opencv():
            first_runs.set()
            assert second_runs.wait(10)
        first_ended.set()

    def second() -> None:
        assert first_runs.wait(10)
        with single_threaded_opencv():
            second_runs.set()
            assert first_ended.wait(10)
            counts.append(cv2.getNumThreads())

    jobs = [threading.Thread(target=job) for job in (first, second)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(20)
    assert counts == [1]
    assert cv2.getNumThreads() == 2


def test_a_failed_job_restores_the_thread_count():
    with pytest.raises(ValueError, match="failed"), single_threaded_opencv():
        raise ValueError("failed")
    assert cv2.getNumThreads() == 2
