"""What the commands of the service have in common: their extra, the settings, the log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lipsync.errors import ExtraMissing

if TYPE_CHECKING:
    from lipsync.settings import Settings

HINT = 'the service needs its extra: pip install "lip-sync-service[service]"'


@contextmanager
def started() -> Iterator[Settings]:
    """The settings, with a log as they want it. Raises ExtraMissing, SettingInvalid."""
    try:
        from lipsync.settings import load_settings
    except ImportError as exc:
        raise ExtraMissing(HINT) from exc
    settings = load_settings()
    logging.basicConfig(level=settings.log_level, handlers=[_handler(settings)], force=True)
    try:
        yield settings
    except ImportError as exc:
        raise ExtraMissing(HINT) from exc


def _handler(settings: Settings) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if settings.log_format == "json" else plain)
    return handler


class JsonLines(logging.Formatter):
    """One JSON object for each line of the log, with the task's id where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (task := getattr(record, "task", None)) is not None:
            line["task"] = task
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
