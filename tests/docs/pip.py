"""Stands in for pip in samples: refuses what a real ``pip install`` in a checkout could not install."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

EXTRAS = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OPTIONS = ("install", "--no-deps", "--editable", ".")
SKIP = 77  # exit code, as in automake's test protocol
PINNED = re.compile(r"[a-z0-9-]+==[0-9.]+")


def installable(argument: str) -> bool:
    extras = re.fullmatch(r"\.\[([a-z0-9,]+)\]", argument)
    if extras is not None:
        return all(extra in EXTRAS for extra in extras[1].split(","))
    return argument in OPTIONS or PINNED.fullmatch(argument) is not None


def is_missing(requirement: str) -> bool:
    """Whether a pinned package, which a sample installs beside an extra, is not there for its next lines."""
    try:
        metadata.version(requirement.partition("==")[0])
    except metadata.PackageNotFoundError:
        return True
    return False


unknown = [argument for argument in sys.argv[1:] if not installable(argument)]
if unknown:
    sys.exit(f"pip cannot install {' '.join(unknown)}")
missing = [argument for argument in sys.argv[1:] if PINNED.fullmatch(argument) and is_missing(argument)]
if missing:
    sys.stdout.write(f"{missing[0]} is not installed\n")
    sys.exit(SKIP)
