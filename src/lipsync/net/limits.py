"""How much may come in, from where, and how long that may take."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync.errors import InputTooLarge, SettingInvalid

if TYPE_CHECKING:
    from lipsync.types import Clip  # which brings numpy, and a service that only takes orders needs none


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input may measure: bytes of the file, seconds of footage or sound, pixels of one picture.

    ``deadline``: seconds without a byte; ``most_seconds_in_all``: for one fetch, redirects included. ``allowed_hosts``:
    host names, addresses and networks (``10.1.0.0/16``) that are open although they would be forbidden.

    Raises SettingInvalid.
    """

    most_bytes: int = 10_000_000_000
    most_seconds: float = 3600.0
    most_pixels: int = 8192 * 4320
    most_redirects: int = 5
    deadline: float = 30.0
    most_seconds_in_all: float = 1800.0
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.allowed_hosts:
            if "/" in entry:
                try:
                    ip_network(entry, strict=False)
                except ValueError as exc:
                    raise SettingInvalid(f"allowed_hosts: {entry!r} is neither a host name nor a network") from exc


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that came in whole. ``sha256`` in hexadecimal; ``content_type`` as the server called it, if it did."""

    path: Path
    bytes: int
    sha256: str
    content_type: str | None


def check_bytes(source: str, count: int, limits: Limits) -> None:
    """Raise InputTooLarge if a file of this many bytes is too large."""
    if count > limits.most_bytes:
        raise InputTooLarge(f"{source}: larger than the {limits.most_bytes} bytes that are allowed (most_bytes)")


def check_media(clip: Clip, limits: Limits) -> None:
    """Raise InputTooLarge if the footage or sound is too long, or its pictures are too large."""
    if clip.video is not None:
        pixels = clip.video.width * clip.video.height
        if pixels > limits.most_pixels:
            size = f"{clip.video.width}x{clip.video.height}"
            raise InputTooLarge(
                f"{clip.path}: {size} is {pixels} pixels, {limits.most_pixels} are allowed (most_pixels)"
            )
    moving = [] if clip.video is None or clip.still else [clip.video.duration]
    seconds = max([*moving, *([clip.audio.duration] if clip.audio is not None else [])], default=0)
    if seconds > limits.most_seconds:
        raise InputTooLarge(
            f"{clip.path}: {float(seconds):.1f} s long, {limits.most_seconds:g} s are allowed (most_seconds)"
        )
