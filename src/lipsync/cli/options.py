"""The job's options as command-line arguments."""

from __future__ import annotations

import argparse
import os
import textwrap
from pathlib import Path
from typing import Any

from lipsync.cli.models import store_of
from lipsync.pipeline.option import Door, Group, Kind, Option
from lipsync.pipeline.options import options_of


class HelpFormatter(argparse.HelpFormatter):
    """Wraps help texts at spaces alone, so that names with hyphens stay whole."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def add_group(parser: argparse.ArgumentParser, group: Group) -> argparse._ArgumentGroup:
    """Add the options of a group under its heading, and return the heading for further arguments."""
    heading = parser.add_argument_group(group)
    add_options(heading, group)
    return heading


def add_options(heading: argparse._ArgumentGroup, group: Group) -> None:
    """Add the options of a group."""
    for option in options_of(Door.CLI).values():
        if option.group is group:
            add_option(heading, option)


def add_option(group: argparse._ActionsContainer, option: Option) -> None:
    """Add one option. Its argument stays text, which ``given_options`` parses."""
    help_text = option.full_help.replace("%", "%%")
    if option.variable:
        help_text = f"{help_text[:-1]}; environment: {option.variable})"
    if option.kind is Kind.BOOLEAN:
        group.add_argument(option.flag, action="store_true", default=None, help=help_text)
    elif option.kind is Kind.PATH:
        group.add_argument(option.flag, type=Path, metavar=option.metavar, help=help_text)
    else:
        action = "append" if option.kind is Kind.NAMES else "store"
        group.add_argument(option.flag, action=action, metavar=option.metavar, help=help_text)


def given_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options on the command line, else those in the environment, and the folder of model weights."""
    given = {
        name: option.parse(value)
        for name, option in options_of(Door.CLI).items()
        if (value := _given(arguments, option)) is not None
    }
    return given | {"models_dir": store_of(arguments).folder}


def _given(arguments: argparse.Namespace, option: Option) -> object:
    value = getattr(arguments, option.name, None)
    return os.environ.get(option.variable) or None if value is None and option.variable else value
