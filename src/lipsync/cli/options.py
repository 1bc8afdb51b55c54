"""The job's options as command-line arguments."""

from __future__ import annotations

import argparse
from typing import Any

from lipsync.cli.models import store_of
from lipsync.pipeline.option import Door, Group, Kind, Option
from lipsync.pipeline.options import options_of


def add_group(parser: argparse.ArgumentParser, group: Group) -> argparse._ArgumentGroup:
    """Add the options of a group under its heading, and return the group for further arguments."""
    heading = parser.add_argument_group(group.value)
    for option in options_of(Door.CLI).values():
        if option.group is group:
            add_option(heading, option)
    return heading


def add_option(group: argparse._ActionsContainer, option: Option) -> None:
    """Add one option. Its argument stays text, which ``given_options`` parses."""
    help_text = option.full_help.replace("%", "%%")
    if option.kind is Kind.BOOLEAN:
        group.add_argument(option.flag, action="store_true", default=None, help=help_text)
    else:
        action = "append" if option.kind is Kind.NAMES else "store"
        group.add_argument(option.flag, action=action, metavar=option.metavar, help=help_text)


def given_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options on the command line, and the folder of model weights that its environment names."""
    given = {
        name: option.parse(value)
        for name, option in options_of(Door.CLI).items()
        if (value := getattr(arguments, name, None)) is not None
    }
    return given | {"models_dir": store_of(arguments).folder}
