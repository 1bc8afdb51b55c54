"""A file that comes in beside its target, with what it takes to go on where an earlier attempt stopped."""

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

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Validator:
    """How a server names one state of a file: the header ``name`` (ETag, Last-Modified) and its value."""

    name: str
    value: str


class PartialFile:
    """``target``.part. Raises DiskFull, OutputUnwritable wherever it writes.

    On leaving, what came is kept if another attempt may go on with it, and removed otherwise. ``identity`` names what
    comes, and the part of something else is not gone on with; only its hash is written down. One process at a time.
    """

    def __init__(self, target: Path, identity: str, monitor: Monitor) -> None:
        self._target = target
        self._path, self._note = _beside(target)
        self._identity = hashlib.sha256(identity.encode()).hexdigest()
        self._monitor = monitor
        self._delivered = False
        self._stack = ExitStack()
        self._digest = hashlib.sha256()
        self.version: Validator | None = None
        self.size = 0

    def __enter__(self) -> Self:
        with write_errors(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
        with write_errors(self._path):
            self._file = self._stack.enter_context(self._path.open("a+b"))
        with self._stack:
            self.version = self._noted()
            if self.version is not None:
                self._take_up()
            if not self.size:
                self.restart(None)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with suppress(OSError):  # what could not be written is not there next time, and asked for again
            self._stack.close()
        final = isinstance(error, LipsyncError) and not error.retryable
        if not self._delivered and (final or self.version is None or not self.size):
            discard(self._target)

    def restart(self, version: Validator | None) -> None:
        """Forget what came; from here on it is the file's state ``version`` that comes."""
        # In this order: a part never stands beside the note of another state.
        with write_errors(self._path):
            self._note.unlink(missing_ok=True)
            self._file.truncate(0)
        self._digest, self.size, self.version = hashlib.sha256(), 0, version
        if version is not None:
            with write_errors(self._note):
                self._note.write_text(json.dumps({"identity": self._identity, **asdict(version)}), encoding="utf-8")

    def write(self, block: bytes) -> None:
        """Add what came."""
        with write_errors(self._path):
            self._file.write(block)
        self._digest.update(block)
        self.size += len(block)

    def deliver(self, sha256: str | None, content_type: str | None) -> Fetched:
        """Bring the whole to its target. Raises ChecksumMismatch if that is not what was announced."""
        found = self._digest.hexdigest()
        if sha256 is not None and sha256.lower() != found:
            raise ChecksumMismatch(f"{self._target.name}: sha256 {sha256} was announced, and {found} came")
        with write_errors(self._target):
            self._file.close()
            os.replace(self._path, self._target)
            self._note.unlink(missing_ok=True)
        self._delivered = True
        return Fetched(self._target, self.size, found, content_type)

    def _noted(self) -> Validator | None:
        """The state of the file that an earlier attempt began with, if it was the same file."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            same = note["identity"] == self._identity
            return Validator(str(note["name"]), str(note["value"])) if same else None
        except (OSError, ValueError, LookupError, TypeError):  # none, or damaged: begin anew
            return None

    def _take_up(self) -> None:
        with write_errors(self._path):
            self._file.seek(0)
            while block := self._file.read(BLOCK):
                self._monitor.check()
                self._digest.update(block)
                self.size += len(block)


def discard(target: Path) -> None:
    """Remove what an unfinished fetch left beside its target. Raises OutputUnwritable."""
    for path in _beside(target):
        with write_errors(path):
            path.unlink(missing_ok=True)


def _beside(target: Path) -> tuple[Path, Path]:
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")
