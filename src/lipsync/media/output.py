"""Check that an output can be written, write it aside, and map what fails."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from lipsync.errors import (
    DiskFull,
    EncodeFailed,
    LipsyncError,
    OptionInvalid,
    OutOfMemory,
    OutputIsInput,
    OutputUnwritable,
    one_line,
)
from lipsync.files import NO_SPACE
from lipsync.media.encoders import SUFFIXES, check_encoding, suffixes_of
from lipsync.media.encoding import Encoding


def check_output(output: Path, inputs: Iterable[Path], encoding: Encoding) -> None:
    """Check that the result can be written there with this encoding.

    Raises OptionInvalid, OutputIsInput, OutputUnwritable, DiskFull.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise OptionInvalid(f"{output}: expected a name ending in {', '.join(SUFFIXES)}")
    check_writable(output, inputs)
    check_encoding(encoding)
    check_suffix(output, encoding)


def check_writable(output: Path, inputs: Iterable[Path]) -> None:
    """Check that a file can be created there. Raises OutputIsInput, OutputUnwritable, DiskFull."""
    with encode_errors(output):
        check_not_input(output, inputs)
    if output.is_dir():
        raise OutputUnwritable(f"{output}: is a directory")
    if not output.parent.is_dir():
        raise OutputUnwritable(f"{output}: the directory {output.parent} does not exist")
    partial = partial_path(output)
    with encode_errors(output):
        try:
            partial.touch(exist_ok=False)
        finally:
            partial.unlink(missing_ok=True)


def check_suffix(output: Path, encoding: Encoding) -> None:
    """Raise OptionInvalid if players cannot read this encoding in such a file."""
    suffixes = suffixes_of(encoding)
    if output.suffix.lower() not in suffixes:
        codecs = f"{encoding.codec} with {encoding.audio_codec}"
        remedy = f"use {' or '.join(suffixes)}" if suffixes else "use another codec"
        raise OptionInvalid(f"{output}: players cannot read {codecs} in {output.suffix or 'this file'}; {remedy}")


def check_not_input(output: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputIsInput if the output is the same file as one of the inputs."""
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise OutputIsInput(f"{output}: the output would overwrite an input; choose another name")


def partial_path(output: Path) -> Path:
    """Return the path of a temporary file beside ``output``, to be renamed when it is complete."""
    return output.with_name(f".lipsync-{uuid.uuid4().hex[:12]}{output.suffix.lower()}")


@contextmanager
def encode_errors(output: Path) -> Iterator[None]:
    """Map errors of the file system and of FFmpeg to DiskFull, OutOfMemory, OutputUnwritable or EncodeFailed."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as exc:
        raise _mapped(exc, output) from exc


def _mapped(exc: BaseException, output: Path) -> LipsyncError:
    number = getattr(exc, "errno", None)
    if number in NO_SPACE:
        return DiskFull(f"{output}: the disk is full")
    if number == errno.ENOMEM:
        return OutOfMemory(f"{output}: the encoder ran out of memory")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG):
        return OutputUnwritable(f"{output}: cannot write the file ({os.strerror(number)})")
    return EncodeFailed(f"{output}: encoding failed ({one_line(exc)})")
