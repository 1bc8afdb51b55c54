"""``lipsync tasks``: manage tasks on a host that can reach the task database."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lipsync.cli.runtime import add_action, service_settings, task_store
from lipsync.errors import OptionInvalid
from lipsync.monitor import Monitor

if TYPE_CHECKING:
    from lipsync.tasks.task import Status, Task


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Manages tasks on a host that can reach the task database."
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listed = add_action(actions, "list", run_list, "list tasks, newest first")
    listed.add_argument("--status", default=None, help="list only tasks with this status, such as queued or failed")
    listed.add_argument(
        "--limit", type=int, default=20, metavar="N", help="maximum number of tasks, 1 to 500 (default: 20)"
    )
    for name, command, text in (
        ("show", run_show, "show one task with its log"),
        ("retry", run_retry, "queue a failed or cancelled task again"),
        ("cancel", run_cancel, "cancel a task"),
    ):
        add_action(actions, name, command, text).add_argument("id", metavar="ID", help="task ID")
    prune = add_action(actions, "prune", run_prune, "delete old finished tasks and their results")
    prune.add_argument(
        "--days",
        type=float,
        default=None,
        metavar="DAYS",
        help="minimum age since they finished (default: $LIPSYNC_RETENTION_DAYS)",
    )


def run_list(options: argparse.Namespace, monitor: Monitor) -> int:
    with task_store() as (store, _):
        page = store.list(status=_status(options.status), limit=options.limit)
    if options.json:
        print(json.dumps([task_as_json(task) for task in page.tasks]))
        return 0
    for task in page.tasks:
        error = f"  {task.error.code}" if task.error else ""
        if (failure := task.enhancement.error) is not None and task.enhancement.status == "failed":
            error += f"  not enhanced: {failure.code}"
        print(f"{task.id}  {task.status:<11}  {task.created_at:%Y-%m-%d %H:%M}  {','.join(task.engines)}{error}")
    return 0


def run_show(options: argparse.Namespace, monitor: Monitor) -> int:
    with task_store() as (store, _):
        task, lines = store.get(options.id), store.logs(options.id, limit=1000)
    if options.json:
        print(json.dumps(task_as_json(task) | {"log": [asdict(line) | {"at": line.at.isoformat()} for line in lines]}))
        return 0
    for name, value in task_as_json(task).items():
        print(f"{name:<17} {value if isinstance(value, str) else json.dumps(value)}")
    for line in lines:
        output = f" {line.output}:" if line.output else ""
        print(f"{line.at:%H:%M:%S} {line.level}{output} {line.message}")
    return 0


def run_retry(options: argparse.Namespace, monitor: Monitor) -> int:
    with task_store() as (store, now):
        return _print_status(store.retry(options.id, now), options)


def run_cancel(options: argparse.Namespace, monitor: Monitor) -> int:
    with task_store() as (store, now):
        return _print_status(store.request_cancel(options.id, now), options)


def run_prune(options: argparse.Namespace, monitor: Monitor) -> int:
    with service_settings() as settings:
        from lipsync.bootstrap import now, open_storage, open_tasks
        from lipsync.tasks.prune import prune

        with open_tasks(settings) as store, open_storage(settings) as storage:
            days = settings.retention_days if options.days is None else options.days
            count = prune(store, storage, settings.data_dir / "uploads", now() - timedelta(days=days))
    print(json.dumps({"pruned": count}) if options.json else f"deleted {count} tasks")
    return 0


def task_as_json(task: Task) -> dict[str, Any]:
    """Convert every field of a task to plain values, times in ISO 8601."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return value.isoformat() if isinstance(value, datetime) else value

    fields: dict[str, Any] = plain(asdict(task))
    return fields


def _status(name: str | None) -> Status | None:
    from lipsync.tasks.task import Status

    if name is not None and name not in set(Status):
        raise OptionInvalid(f"invalid --status {name!r}: expected one of {', '.join(Status)}")
    return None if name is None else Status(name)


def _print_status(task: Task, options: argparse.Namespace) -> int:
    note = " (cancellation requested)" if task.cancel_requested and task.lease_owner else ""
    print(json.dumps(task_as_json(task)) if options.json else f"{task.id}: {task.status}{note}")
    return 0
