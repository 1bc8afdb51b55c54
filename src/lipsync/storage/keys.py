"""Keys (paths) of published files, rendered from a template that is validated at startup."""

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
REQUIRED = ("task", "engine", "suffix")  # without them, results would overwrite one another
MAX_RENDERED_BYTES = 512
MAX_KEY_BYTES = 1024  # S3's limit
MAX_NAME_BYTES = 255  # limit of file systems
MAX_FIELD_CHARS = 64  # of a task's or an engine's name, or of a stem
PLAIN = re.compile(r"[A-Za-z0-9._/-]*")
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_FIELD_CHARS - 1}}}")
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # device names on Windows, in any folder


@dataclass(frozen=True, slots=True)
class ResultFields:
    """Fields of a key. ``when``: creation time of the task, so that a retry renders the same key.

    ``suffix`` starts with a dot. ``name``: file name of the input, with or without folders.
    """

    task: str
    engine: str
    suffix: str
    when: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A validated template, such as ``{date}/{task}/{engine}{suffix}``."""

    text: str

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """Validate a template: every rendered key must be safe and unique. Raises SettingInvalid."""
        used = _fields(text)
        if missing := [name for name in REQUIRED if name not in used]:
            raise SettingInvalid(f"{KEY_TEMPLATE} lacks {{{missing[0]}}}, without which results overwrite one another")
        longest = ResultFields(
            "t" * MAX_FIELD_CHARS,
            "e" * MAX_FIELD_CHARS,
            ".abcdefgh",
            datetime(2000, 1, 1, tzinfo=UTC),
            "s" * MAX_FIELD_CHARS,
        )
        try:
            key = cls(text).render(longest)
        except OptionInvalid as exc:
            raise SettingInvalid(f"{KEY_TEMPLATE}: {exc}") from exc
        if len(key) > MAX_RENDERED_BYTES:
            raise SettingInvalid(
                f"{KEY_TEMPLATE} can render keys of {len(key)} characters; the maximum is {MAX_RENDERED_BYTES}"
            )
        return cls(text)

    def render(self, result: ResultFields) -> str:
        """Render the key. Raises OptionInvalid if the task, the engine or the suffix contains invalid characters."""
        if not NAME.fullmatch(result.task) or not NAME.fullmatch(result.engine):
            raise OptionInvalid(f"task {result.task!r} or engine {result.engine!r} cannot be used in a file name")
        if not SUFFIX.fullmatch(result.suffix):
            raise OptionInvalid(f"invalid file suffix {result.suffix!r}")
        when = result.when.astimezone(UTC)
        dates = {"date": f"{when:%Y-%m-%d}", "year": f"{when:%Y}", "month": f"{when:%m}", "day": f"{when:%d}"}
        names = {"task": result.task, "engine": result.engine, "suffix": result.suffix, "stem": safe_stem(result.name)}
        return check_key(self.text.format(**names, **dates))


def safe_stem(name: str) -> str:
    """Reduce a file name to its stem of letters, digits, ``.``, ``_`` and ``-``; never empty."""
    plain = unicodedata.normalize("NFKD", PurePath(name.replace("\\", "/")).stem).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-._")[:MAX_FIELD_CHARS].rstrip("-._")
    return "video" if not stem or RESERVED.fullmatch(stem) else stem


def check_key(key: str) -> str:
    """Return the key if it is valid in every storage. Raises OptionInvalid.

    A key is a path of names separated by ``/``. No name may be empty, hidden (start with ``.``), or one that a file
    system truncates, reserves or cannot write.
    """
    names = key.split("/")
    if not key.isprintable() or "\\" in key or any(not _is_name(name) for name in names):
        raise OptionInvalid(f"invalid key {key!r}")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise OptionInvalid(f"key too long: {len(key.encode())} bytes; the maximum is {MAX_KEY_BYTES}")
    return key


def _is_name(name: str) -> bool:
    fits = bool(name) and len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES
    return fits and not name.startswith(".") and not name.endswith((".", " ")) and not RESERVED.fullmatch(name)


def _fields(text: str) -> list[str]:
    """Parse the field names of a template. Raises SettingInvalid."""
    used = []
    try:
        segments = list(string.Formatter().parse(text))
    except ValueError as exc:
        raise SettingInvalid(f"{KEY_TEMPLATE}: {exc}") from exc
    for literal, name, form, conversion in segments:
        if not PLAIN.fullmatch(literal) or ".." in literal:
            raise SettingInvalid(f"{KEY_TEMPLATE}: {literal!r} is not allowed; use letters, digits and ._-/")
        if name is None:
            continue
        if name not in FIELDS or form or conversion:
            raise SettingInvalid(f"{KEY_TEMPLATE}: unknown field {{{name}}}; expected one of {', '.join(FIELDS)}")
        used.append(name)
    if text.startswith("/"):
        raise SettingInvalid(f"{KEY_TEMPLATE} must not start with a slash")
    return used
