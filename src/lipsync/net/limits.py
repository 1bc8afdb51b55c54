"""Limits on inputs: size, duration, time to download, and the private hosts that are allowed."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from lipsync.errors import InputTooLarge, SettingInvalid


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one input: bytes of the file, seconds of video or audio, pixels of one frame.

    ``idle_timeout``: seconds without a byte; ``total_timeout``: seconds for one download, redirects included.
    ``allowed_hosts``: host names, addresses and networks (``10.1.0.0/16``) that are allowed although they are private.

    Raises SettingInvalid for a malformed network.
    """

    max_bytes: int = 10_000_000_000
    max_seconds: float = 3600.0
    max_pixels: int = 12_288 * 12_288
    max_redirects: int = 5
    idle_timeout: float = 30.0
    total_timeout: float = 1800.0
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.allowed_hosts:
            if "/" in entry:
                try:
                    ip_network(entry, strict=False)
                except ValueError as exc:
                    raise SettingInvalid(f"LIPSYNC_INPUT_ALLOWED_HOSTS: invalid network {entry!r}") from exc


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete download. ``sha256`` in hexadecimal; ``content_type`` as sent by the server, if any."""

    path: Path
    bytes: int
    sha256: str
    content_type: str | None


def check_bytes(source: str, count: int, limits: Limits) -> None:
    """Raise InputTooLarge if a file of this many bytes exceeds the limit."""
    if count > limits.max_bytes:
        raise InputTooLarge(f"{source}: larger than the limit of {limits.max_bytes} bytes (LIPSYNC_MAX_INPUT_BYTES)")
