"""What the README promises about the command line is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lipsync.cli import main
from lipsync.cli.exit_codes import BUG, EXIT_CODES, INTERRUPTED, TERMINATED, USAGE

README = Path(__file__).parents[3] / "README.md"


def test_the_table_of_exit_codes():
    rows = re.findall(r"^\| (\d+) \| `?([a-z_]+)`? \| (.+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    told = {int(number): code for number, code, _ in rows}
    assert told == {number: kind.code for kind, number in EXIT_CODES.items()} | {
        0: "ok", USAGE: "usage", BUG: "bug", INTERRUPTED: "cancelled", TERMINATED: "terminated",
    }  # fmt: skip


def test_the_options_it_names(capsys):
    named = set(re.findall(r"--[a-z][a-z_-]+", README.read_text(encoding="utf-8")))
    for command in (["sync"], ["infer"], ["models", "fetch"], ["models", "import"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
    known = set(re.findall(r"--[a-z][a-z_-]+", capsys.readouterr().out))
    assert named <= known | {"--version", "--no-deps"}  # the latter is of pip
