"""Keys: what a published file is called, from a template that is checked when the service starts."""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

from lipsync.errors import OptionInvalid, SettingInvalid
from lipsync.storage.base import KEY_TEMPLATE

FIELDS = ("task", "engine", "suffix", "date", "year", "month", "day", "stem")
NEEDED = ("task", "engine", "suffix")  # without them results of two tasks, engines or kinds could be one file
LONGEST = 512  # bytes of a rendered key
KEY_BYTES = 1024  # what S3 allows
SEGMENT_BYTES = 255  # what file systems allow
PART = 64  # characters of a task's or an engine's name, or of a stem
PLAIN = re.compile(r"[A-Za-z0-9._/-]*")
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{PART - 1}}}")
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # devices, whatever the folder, on Windows


@dataclass(frozen=True, slots=True)
class ResultFields:
    """What a key is made of. ``when``: the task's creation, so that a retry finds the same key.

    ``suffix`` starts with a dot. ``name``: what the input was called, with or without folders.
    """

    task: str
    engine: str
    suffix: str
    when: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A template that is known to be good, such as ``{date}/{task}/{engine}{suffix}``."""

    text: str

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """Raises SettingInvalid, which says what is wrong, unless every rendered key will be safe and its own."""
        used = _fields(text)
        if missing := [name for name in NEEDED if name not in used]:
            raise SettingInvalid(f"{KEY_TEMPLATE} lacks {{{missing[0]}}}: results would replace one another")
        longest = ResultFields("t" * PART, "e" * PART, ".abcdefgh", datetime(2000, 1, 1, tzinfo=UTC), "s" * PART)
        try:
            key = cls(text).render(longest)
        except OptionInvalid as exc:
            raise SettingInvalid(f"{KEY_TEMPLATE}: {exc}") from exc
        if len(key) > LONGEST:
            raise SettingInvalid(f"{KEY_TEMPLATE} could make keys of {len(key)} characters; {LONGEST} are allowed")
        return cls(text)

    def render(self, result: ResultFields) -> str:
        """The key. Raises OptionInvalid if the task, the engine or the suffix is not fit to stand in one."""
        if not NAME.fullmatch(result.task) or not NAME.fullmatch(result.engine):
            raise OptionInvalid(f"{result.task!r} and {result.engine!r} cannot be part of a file's name")
        if not SUFFIX.fullmatch(result.suffix):
            raise OptionInvalid(f"{result.suffix!r} is no suffix of a file")
        when = result.when.astimezone(UTC)
        dates = {"date": f"{when:%Y-%m-%d}", "year": f"{when:%Y}", "month": f"{when:%m}", "day": f"{when:%d}"}
        names = {"task": result.task, "engine": result.engine, "suffix": result.suffix, "stem": safe_stem(result.name)}
        return check_key(self.text.format(**names, **dates))


def safe_stem(name: str) -> str:
    """A file's name without folders and suffix, of letters, digits, ``.``, ``_`` and ``-`` only; never empty."""
    plain = unicodedata.normalize("NFKD", PurePath(name.replace("\\", "/")).stem).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-._")[:PART].rstrip("-._")
    return "video" if not stem or RESERVED.fullmatch(stem) else stem


def check_key(key: str) -> str:
    """The key, if it can be one in every storage. Raises OptionInvalid.

    A path of one or more names with ``/`` between them: not empty, none hidden (``.`` first, so ``..`` neither), none
    that a file system cuts, reserves or cannot write.
    """
    names = key.split("/")
    if not key.isprintable() or "\\" in key or any(not _is_name(name) for name in names):
        raise OptionInvalid(f"{key!r} is no key of a published file")
    if len(key.encode()) > KEY_BYTES:
        raise OptionInvalid(f"a key of {len(key.encode())} bytes is too long; {KEY_BYTES} are allowed")
    return key


def _is_name(name: str) -> bool:
    fits = bool(name) and len(name.encode("utf-8", "replace")) <= SEGMENT_BYTES
    return fits and not name.startswith(".") and not name.endswith((".", " ")) and not RESERVED.fullmatch(name)


def _fields(text: str) -> list[str]:
    """The names of the fields in the template. Raises SettingInvalid."""
    used = []
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as exc:
        raise SettingInvalid(f"{KEY_TEMPLATE}: {exc}") from exc
    for literal, name, form, conversion in parts:
        if not PLAIN.fullmatch(literal) or ".." in literal:
            raise SettingInvalid(f"{KEY_TEMPLATE}: {literal!r} cannot be in a key; letters, digits and ._-/ can")
        if name is None:
            continue
        if name not in FIELDS or form or conversion:
            raise SettingInvalid(f"{KEY_TEMPLATE}: there is no field {{{name}}}; there are {', '.join(FIELDS)}")
        used.append(name)
    if text.startswith("/"):
        raise SettingInvalid(f"{KEY_TEMPLATE} starts with a slash; keys have none")
    return used
