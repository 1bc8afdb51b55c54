"""Log records about tasks."""

from __future__ import annotations

import json
import logging

from lipsync.cli.runtime import JsonLines
from lipsync.tasks.events import EVENTS, Event, TaskLog


def test_every_event_is_described():
    assert set(EVENTS) == set(Event)
    assert all(EVENTS.values())


def test_records_about_a_task_carry_its_id(caplog):
    with caplog.at_level(logging.INFO):
        TaskLog("lipsync.somewhere", "abc").info("%d of %s", 1, "them")
    (record,) = caplog.records
    assert (record.name, record.task, record.getMessage()) == ("lipsync.somewhere", "abc", "task abc: 1 of them")


def test_an_event_is_a_sentence_with_fields_in_the_json_log(caplog):
    log = TaskLog("lipsync.somewhere", "abc", attempt=2)
    with caplog.at_level(logging.INFO):
        log.event(Event.TASK_FAILED, logging.ERROR, "failed: %s", "100 % full", code="disk_full", seconds=1.23456)
        log.event(Event.TASK_STARTED, logging.INFO, "attempt %d", 2)
    failed, started = (json.loads(JsonLines().format(record)) for record in caplog.records)
    assert {name: failed[name] for name in failed if name != "time"} == {
        "level": "error",
        "logger": "lipsync.somewhere",
        "message": "task abc: failed: 100 % full",
        "event": "task.failed",
        "task": "abc",
        "code": "disk_full",
        "attempt": 2,
        "seconds": 1.235,
    }
    assert (started["event"], started["attempt"], "code" in started, "seconds" in started) == (
        "task.started",
        2,
        False,
        False,
    )
