"""Stands in for pip in samples: refuses what a real ``pip install`` in a checkout could not install."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

EXTRAS = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OPTIONS = ("install", "--no-deps", "--editable", ".")
PINNED = re.compile(r"[a-z0-9-]+==[0-9.]+")


def installable(argument: str) -> bool:
    extras = re.fullmatch(r"\.\[([a-z0-9,]+)\]", argument)
    if extras is not None:
        return all(extra in EXTRAS for extra in extras[1].split(","))
    return argument in OPTIONS or PINNED.fullmatch(argument) is not None


unknown = [argument for argument in sys.argv[1:] if not installable(argument)]
if unknown:
    sys.exit(f"pip cannot install {' '.join(unknown)}")
