"""``lipsync settings``: every setting of the service, and what it is now."""

from __future__ import annotations

import argparse
import json
from typing import Any

from lipsync.monitor import Monitor


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "settings",
        help="list the service's settings",
        description="Lists the service's settings with their values; secrets are hidden.",
    )
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.cli.runtime import started

    with started() as settings:
        from lipsync.settings import described

        rows = described(settings)
    if options.json:
        print(json.dumps({name: {"value": value, "purpose": purpose} for name, (value, purpose) in rows.items()}))
        return 0
    for name, (value, purpose) in rows.items():
        print(f"{name}={value}\n    {purpose}")
    return 0
