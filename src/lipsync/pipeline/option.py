"""One option of a job: its type, default, range and help, and the check of its value."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any, Final

from lipsync.errors import OptionInvalid

MAX_TEXT = 4096  # characters of a text
LINE_ENDS = frozenset("\n\r\0")  # they would break messages, or cut a name in FFmpeg
MAX_VALUE_TEXT = 60  # characters of a refused value in an error


class Door(StrEnum):
    """A way into the package."""

    LIBRARY = "library"
    CLI = "cli"
    API = "api"


class Group(StrEnum):
    """A heading of ``lipsync sync --help``."""

    INPUT = "input and output"
    FACE = "face"
    ENGINE = "engine"
    ENCODING = "encoding"
    ENHANCEMENT = "enhancement"
    INFERENCE = "inference"
    REPORT = "copies and reports"


class Kind(StrEnum):
    """The type of an option's value."""

    BOOLEAN = "true or false"
    INTEGER = "an integer"
    NUMBER = "a number"
    RATE = "a number or fraction"
    TEXT = f"one line of 1 to {MAX_TEXT} characters"
    PATH = "a path"
    INTEGERS = "integers"
    NAMES = "names"


ALL: Final = frozenset(Door)
LOCAL: Final = frozenset({Door.LIBRARY, Door.CLI})
LIBRARY: Final = frozenset({Door.LIBRARY})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a job.

    ``default`` None: the option is optional, and ``default_help`` says what applies without it. ``minimum`` and
    ``maximum`` bound a number or each integer of a list, in ``unit``; ``length`` bounds a list. ``api_choices``
    replaces ``choices`` in the API. ``variable`` is an environment variable that the command line reads.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    group: Group
    doors: frozenset[Door] = ALL
    minimum: int | None = None
    maximum: int | None = None
    nonzero: bool = False
    length: tuple[int, int] = (0, 0)
    choices: tuple[str, ...] = ()
    api_choices: tuple[str, ...] = ()
    unit: str = ""
    metavar: str = ""
    default_help: str = ""
    variable: str = ""
    example: Any = None

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def range_help(self) -> str:
        """The allowed numbers with their unit, such as ``1 to 120 frames/s``; empty if any value is allowed."""
        if self.minimum is None:
            return self.unit
        bounds = f"{self.minimum} or more" if self.maximum is None else f"{self.minimum} to {self.maximum}"
        return f"{bounds} {self.unit}".rstrip()

    @property
    def full_help(self) -> str:
        """``help`` with choices, range and default."""
        if self.kind is Kind.BOOLEAN and not self.default:
            return self.help
        default = self.default_help or self._default_text
        facts = [", ".join(self.choices), self.range_help, f"default: {default}"]
        return f"{self.help} ({'; '.join(filter(None, facts))})"

    @property
    def _default_text(self) -> str:
        if isinstance(self.default, tuple):
            return ", ".join(map(str, self.default))
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def json_default(self) -> Any:
        """``default`` as JSON has it."""
        return list(self.default) if isinstance(self.default, tuple) else self.default

    def parse(self, text: object) -> object:
        """A command-line argument as a value for ``checked``, which refuses what cannot be parsed."""
        if not isinstance(text, str):
            return text
        try:
            match self.kind:
                case Kind.INTEGER:
                    return int(text)
                case Kind.NUMBER:
                    return float(text)
                case Kind.RATE:
                    return Fraction(text)
                case Kind.INTEGERS:
                    return [int(item) for item in text.split(",") if item.strip()]
        except (ValueError, ZeroDivisionError):
            pass
        return text

    def checked(self, value: object) -> Any:
        """The value in the type that a job holds. Raises OptionInvalid."""
        if value is None and self.default is None:
            return None
        try:
            converted = _converted(self.kind, value)
        except (TypeError, ValueError, OverflowError):
            raise self._invalid(value) from None
        many = self.kind in (Kind.INTEGERS, Kind.NAMES)
        if many and not self.length[0] <= len(converted) <= self.length[1]:
            raise self._invalid(value)
        for item in converted if many else [converted]:
            if not self._allows(item):
                raise self._invalid(item)
        if self.kind is Kind.NAMES and len(set(converted)) < len(converted):
            raise self._invalid(value)
        return converted

    def _allows(self, item: Any) -> bool:
        if self.choices and item not in self.choices:
            return False
        if self.minimum is not None and not item >= self.minimum:  # false for NaN, too
            return False
        return (self.maximum is None or item <= self.maximum) and (item != 0 or not self.nonzero)

    def _invalid(self, value: object) -> OptionInvalid:
        text = ascii(value) if isinstance(value, str | bytes | list | dict) else str(value)
        text = text if len(text) <= MAX_VALUE_TEXT else f"{text[:MAX_VALUE_TEXT]}..."
        return OptionInvalid(f"invalid {self.name} {text}: expected {self.expected}")

    @property
    def expected(self) -> str:
        """The allowed values in words."""
        shortest, longest = self.length
        if self.choices:
            names = ", ".join(self.choices)
            return f"one or more of {names}, each at most once" if self.kind is Kind.NAMES else f"one of {names}"
        kind: str = self.kind
        if self.kind is Kind.INTEGERS:
            kind = f"{longest} integers" if shortest == longest else f"at most {longest} integers"
        if self.maximum is not None:
            kind += f" from {self.minimum} to {self.maximum}"
        elif self.minimum is not None:
            kind += f" of at least {self.minimum}"
        return kind + (" except 0" if self.nonzero else "") + (f" ({self.unit})" if self.unit else "")


def _converted(kind: Kind, value: Any) -> Any:
    """The value in the kind's type. Raises TypeError, ValueError, OverflowError for another kind's."""
    match kind:
        case Kind.BOOLEAN if isinstance(value, bool):
            return value
        case Kind.INTEGER if not isinstance(value, bool):
            return operator.index(value)
        case Kind.NUMBER if isinstance(value, Real) and not isinstance(value, bool):
            return float(value)
        case Kind.RATE if isinstance(value, Real) and not isinstance(value, bool):
            return value if isinstance(value, Fraction) else Fraction(str(value))  # 29.97 is meant as decimal
        case Kind.TEXT if isinstance(value, str) and 0 < len(value) <= MAX_TEXT and not LINE_ENDS & set(value):
            return value
        case Kind.PATH if isinstance(value, str | os.PathLike):
            return Path(value)
        case Kind.INTEGERS if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return tuple(_converted(Kind.INTEGER, item) for item in value)
        case Kind.NAMES if isinstance(value, Sequence):
            return (value,) if isinstance(value, str) else tuple(value)
    raise TypeError(f"not {kind}")
