"""Partial file beside a download's target, with the note that a later attempt needs to resume."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lipsync.errors import ChecksumMismatch, LipsyncError
from lipsync.files import write_errors
from lipsync.monitor import Monitor
from lipsync.net.limits import Fetched

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Validator:
    """Validator of one state of a file (RFC 9110, 8.8): the header ``name`` (ETag, Last-Modified) and its value."""

    name: str
    value: str


class PartialFile:
    """The file ``target``.part. Raises DiskFull, OutputUnwritable when writing.

    On leaving, the part is kept if another attempt can resume it, and removed otherwise. Only a part of the same
    ``identity`` is resumed; the note stores its hash, since an address may hold secrets. One process at a time.
    """

    def __init__(self, target: Path, identity: str, monitor: Monitor) -> None:
        self._target = target
        self._path, self._note = _partial_paths(target)
        self._identity = hashlib.sha256(identity.encode()).hexdigest()
        self._monitor = monitor
        self._delivered = False
        self._stack = ExitStack()
        self._digest = hashlib.sha256()
        self.validator: Validator | None = None
        self.size = 0

    def __enter__(self) -> Self:
        with write_errors(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
        with write_errors(self._path):
            self._file = self._stack.enter_context(self._path.open("a+b"))
        with self._stack:
            self.validator = self._read_note()
            if self.validator is not None:
                self._resume()
            if not self.size:
                self.restart(None)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with suppress(OSError):  # bytes that cannot be flushed are requested again next time
            self._stack.close()
        final = isinstance(error, LipsyncError) and not error.retryable
        if not self._delivered and (final or self.validator is None or not self.size):
            discard(self._target)

    def restart(self, validator: Validator | None) -> None:
        """Empty the part, to receive the file's state ``validator`` from its start."""
        # In this order, so that a part never has the note of another state beside it.
        with write_errors(self._path):
            self._note.unlink(missing_ok=True)
            self._file.truncate(0)
        self._digest, self.size, self.validator = hashlib.sha256(), 0, validator
        if validator is not None:
            with write_errors(self._note):
                self._note.write_text(json.dumps({"identity": self._identity, **asdict(validator)}), encoding="utf-8")

    def write(self, block: bytes) -> None:
        """Append a block."""
        with write_errors(self._path):
            self._file.write(block)
        self._digest.update(block)
        self.size += len(block)

    def deliver(self, sha256: str | None, content_type: str | None) -> Fetched:
        """Move the complete file to its target. Raises ChecksumMismatch if it is not the expected one."""
        actual = self._digest.hexdigest()
        if sha256 is not None and sha256.lower() != actual:
            raise ChecksumMismatch(f"{self._target.name}: expected SHA-256 {sha256}, got {actual}")
        with write_errors(self._target):
            self._file.close()
            os.replace(self._path, self._target)
            self._note.unlink(missing_ok=True)
        self._delivered = True
        return Fetched(self._target, self.size, actual, content_type)

    def _read_note(self) -> Validator | None:
        """Read the validator of an earlier attempt at the same file, None if there was none."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            same = note["identity"] == self._identity
            return Validator(str(note["name"]), str(note["value"])) if same else None
        except (OSError, ValueError, LookupError, TypeError):  # missing or damaged: start over
            return None

    def _resume(self) -> None:
        with write_errors(self._path):
            self._file.seek(0)
            while block := self._file.read(BLOCK_BYTES):
                self._monitor.check()
                self._digest.update(block)
                self.size += len(block)


def discard(target: Path) -> None:
    """Remove the files of an unfinished download. Raises OutputUnwritable."""
    for path in _partial_paths(target):
        with write_errors(path):
            path.unlink(missing_ok=True)


def _partial_paths(target: Path) -> tuple[Path, Path]:
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")
