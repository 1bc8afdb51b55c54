"""``lipsync settings``: list the service's settings with their values."""

from __future__ import annotations

import argparse
import json

from lipsync.monitor import Monitor


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "List the service's settings with the values in force. Secrets are hidden."
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.cli.runtime import service_settings

    with service_settings() as settings:
        from lipsync.settings import redacted, setting_infos

        rows = [(info, redacted(getattr(settings, info.field))) for info in setting_infos()]
    if options.json:
        fields = ("default", "allowed", "description")
        print(json.dumps({row.variable: {"value": v} | {f: getattr(row, f) for f in fields} for row, v in rows}))
        return 0
    for info, value in rows:
        notes = [info.allowed, f"default: {info.default}" if info.default else ""]
        note = "; ".join(note for note in notes if note)
        print(f"{info.variable}={value}\n    {info.description}{f' ({note})' if note else ''}")
    return 0
