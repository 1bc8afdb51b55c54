"""How inputs come in: one file from an address, whole or not at all, and nothing from where nothing may be fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from lipsync.errors import OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net.limits import Fetched, Limits, check_media
from lipsync.net.partial_file import discard
from lipsync.net.transport import S3Access, Transport
from lipsync.net.url import redact

__all__ = ["FETCHERS", "Fetched", "Limits", "S3Access", "Transport", "check_media", "discard", "fetch", "redact"]

SHA256 = re.compile(r"[0-9a-fA-F]{64}")

Fetcher = Callable[[str, Path, Limits, Monitor, str | None, Transport], Fetched]


def _http() -> Fetcher:
    from lipsync.net.download import fetch_http

    return fetch_http


def _s3() -> Fetcher:
    from lipsync.net.s3 import fetch_s3

    return fetch_s3


FETCHERS: Mapping[str, Callable[[], Fetcher]] = {"http": _http, "https": _http, "s3": _s3}


def fetch(
    address: str,
    target: Path,
    limits: Limits,
    monitor: Monitor,
    *,
    sha256: str | None = None,
    transport: Transport | None = None,
) -> Fetched:
    """Bring the file at an address to ``target``, whole or not at all; progress in bytes as the stage ``fetch``.

    It comes in as ``target``.part. What came before a failure that may pass is kept with a note beside it, and the
    next call goes on there if the server still has the same file; ``discard`` removes both. Nothing is unpacked on the
    way. ``sha256`` in hexadecimal is what the file has to have. One call at a time for one target.

    Raises OptionInvalid, AddressForbidden, InputTooLarge, FetchFailed (its instance says whether it is retryable),
    ChecksumMismatch, ExtraMissing, DiskFull, OutputUnwritable, Cancelled.
    """
    scheme = address.partition(":")[0].lower()
    if scheme not in FETCHERS:
        raise OptionInvalid(f"{redact(address)}: not an address that begins with {', '.join(FETCHERS)}")
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise OptionInvalid("sha256: not 64 hexadecimal digits")
    return FETCHERS[scheme]()(address, target, limits, monitor, sha256, transport or Transport())
