"""The table of status transitions."""

from __future__ import annotations

import pytest

from lipsync.errors import TransitionForbidden
from lipsync.tasks.task import FINAL, RUNNING, TRANSITIONS, Status, check_transition


def test_every_status_is_in_the_table_and_final_running_or_queued():
    assert set(TRANSITIONS) == set(Status) == FINAL | RUNNING | {Status.QUEUED}
    assert not FINAL & RUNNING


def test_a_running_task_may_be_queued_again_fail_or_be_cancelled():
    assert all({Status.QUEUED, Status.FAILED, Status.CANCELLED} <= TRANSITIONS[status] for status in RUNNING)


def test_an_ended_task_can_only_be_queued_again_and_a_completed_one_never():
    assert TRANSITIONS[Status.COMPLETED] == frozenset()
    assert TRANSITIONS[Status.FAILED] == TRANSITIONS[Status.CANCELLED] == {Status.QUEUED}


def test_every_status_can_be_reached_from_the_queue():
    reached, edge = {Status.QUEUED}, {Status.QUEUED}
    while edge:
        edge = set().union(*(TRANSITIONS[status] for status in edge)) - reached
        reached |= edge
    assert reached == set(Status)


def test_a_forbidden_transition_is_reported_in_one_line():
    check_transition(Status.QUEUED, Status.DOWNLOADING)
    with pytest.raises(TransitionForbidden, match="a task that is completed cannot become queued"):
        check_transition(Status.COMPLETED, Status.QUEUED)
