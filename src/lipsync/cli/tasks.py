"""``lipsync tasks``: the service's tasks, looked at and changed where its database is."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lipsync.cli.runtime import add_action, opened
from lipsync.errors import OptionInvalid
from lipsync.monitor import Monitor

if TYPE_CHECKING:
    from lipsync.tasks.task import Status, Task


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "The service's tasks."
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listed = add_action(actions, "list", run_list, "the newest tasks")
    listed.add_argument("--status", default=None, help="only those that are queued, failed, …")
    listed.add_argument("--limit", type=int, default=20, metavar="N", help="how many (20)")
    for name, command, told in (
        ("show", run_show, "everything about one task, with its log"),
        ("retry", run_retry, "queue a failed or cancelled task again"),
        ("cancel", run_cancel, "stop a task"),
    ):
        add_action(actions, name, command, told).add_argument("id", metavar="ID")
    prune = add_action(actions, "prune", run_prune, "delete tasks that ended long ago, and their results")
    prune.add_argument("--days", type=float, default=None, help="how long ago (LIPSYNC_RETENTION_DAYS)")


def run_list(options: argparse.Namespace, monitor: Monitor) -> int:
    with opened() as (store, _):
        page = store.list(status=_status(options.status), limit=options.limit)
    if options.json:
        print(json.dumps([as_json(task) for task in page.tasks]))
        return 0
    for task in page.tasks:
        error = f"  {task.error.code}" if task.error else ""
        if (lacking := task.enhancement.error) is not None and task.enhancement.status == "failed":
            error += f"  not enhanced: {lacking.code}"
        print(f"{task.id}  {task.status:<11}  {task.created_at:%Y-%m-%d %H:%M}  {','.join(task.engines)}{error}")
    return 0


def run_show(options: argparse.Namespace, monitor: Monitor) -> int:
    with opened() as (store, _):
        task, lines = store.get(options.id), store.logs(options.id, limit=1000)
    if options.json:
        print(json.dumps(as_json(task) | {"log": [asdict(line) | {"at": line.at.isoformat()} for line in lines]}))
        return 0
    for name, value in as_json(task).items():
        print(f"{name:<17} {value if isinstance(value, str) else json.dumps(value)}")
    for line in lines:
        about = f" {line.output}:" if line.output else ""
        print(f"{line.at:%H:%M:%S} {line.level}{about} {line.message}")
    return 0


def run_retry(options: argparse.Namespace, monitor: Monitor) -> int:
    with opened() as (store, now):
        return _told(store.retry(options.id, now), options)


def run_cancel(options: argparse.Namespace, monitor: Monitor) -> int:
    with opened() as (store, now):
        return _told(store.request_cancel(options.id, now), options)


def run_prune(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.bootstrap import now, open_storage, open_tasks
    from lipsync.cli.runtime import started
    from lipsync.tasks.prune import prune

    with started() as settings, open_tasks(settings) as store, open_storage(settings) as storage:
        days = settings.retention_days if options.days is None else options.days
        gone = prune(store, storage, settings.data_dir / "uploads", now() - timedelta(days=days))
    print(json.dumps({"pruned": gone}) if options.json else f"{gone} tasks pruned")
    return 0


def as_json(task: Task) -> dict[str, Any]:
    """Every field of a task as plain values, times in ISO 8601."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.isoformat() if isinstance(value, datetime) else value

    told: dict[str, Any] = plain(asdict(task))
    return told


def _status(word: str | None) -> Status | None:
    from lipsync.tasks.task import Status

    if word is not None and word not in set(Status):
        raise OptionInvalid(f"no task is {word}; there are {', '.join(Status)}")
    return None if word is None else Status(word)


def _told(task: Task, options: argparse.Namespace) -> int:
    wish = " (asked to stop)" if task.cancel_requested and task.lease_owner else ""
    print(json.dumps(as_json(task)) if options.json else f"{task.id}: {task.status}{wish}")
    return 0
