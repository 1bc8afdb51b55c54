"""Shared setup of the service's commands: extra, settings, logging, task store."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lipsync.errors import ExtraMissing
from lipsync.tasks.events import FIELDS

if TYPE_CHECKING:
    from lipsync.settings import Settings
    from lipsync.tasks.store import TaskStore

NOISY_LOGGERS = {
    "alembic": logging.WARNING,
    "uvicorn": logging.WARNING,
    "kombu": logging.ERROR,
    "botocore": logging.WARNING,
}
MISSING_EXTRA = 'the service requires an extra. Run: pip install "lip-sync-service[service]"'


@contextmanager
def service_settings(**overrides: Any) -> Iterator[Settings]:
    """Load the settings and configure logging. Raises ExtraMissing, SettingInvalid."""
    try:
        from lipsync.settings import load_settings
    except ImportError as exc:
        raise ExtraMissing(MISSING_EXTRA) from exc
    settings = load_settings(**overrides)
    logging.basicConfig(level=settings.log_level, handlers=[_handler(settings)], force=True)
    for name, level in NOISY_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield settings
    except ImportError as exc:
        raise ExtraMissing(MISSING_EXTRA) from exc


@contextmanager
def task_store() -> Iterator[tuple[TaskStore, datetime]]:
    """Open the task store; yield it and the current time. Raises ExtraMissing, SettingInvalid, StorageFailed."""
    with service_settings() as settings:
        from lipsync.bootstrap import now, open_tasks

        with open_tasks(settings) as store:
            yield store, now()


def add_action(actions: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
    """Add a subcommand with the help ``text`` and the arguments --json and --debug."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected failure")
    parser.set_defaults(run=run)
    return parser


def _handler(settings: Settings) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if settings.log_format == "json" else plain)
    return handler


class JsonLines(logging.Formatter):
    """One JSON object per log record, with the fields of ``lipsync.tasks.events`` that the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: vars(record)[name] for name in FIELDS if vars(record).get(name) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
