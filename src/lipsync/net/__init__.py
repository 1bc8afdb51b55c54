"""Safe downloads of inputs: complete files only, and only from allowed addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from lipsync.errors import OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net.limits import Fetched, Limits
from lipsync.net.partial_file import discard
from lipsync.net.transport import RequestContext, S3Access, Transport
from lipsync.net.url import redact

__all__ = ["FETCHERS", "Fetched", "Limits", "S3Access", "Transport", "discard", "fetch", "redact"]

SHA256 = re.compile(r"[0-9a-fA-F]{64}")

Fetcher = Callable[[str, Path, str | None, RequestContext], Fetched]


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
    """Download an address to ``target``, complete or not at all; report progress in bytes as the stage ``fetch``.

    The data is written to ``target``.part. After a retryable failure the part is kept, and the next call resumes it if
    the server still has the same file; ``discard`` removes it. Nothing is unpacked. ``sha256``: expected checksum in
    hexadecimal. One call at a time for each target.

    Raises OptionInvalid, AddressForbidden, InputTooLarge, FetchFailed (the instance states ``retryable``),
    ChecksumMismatch, ExtraMissing, DiskFull, OutputUnwritable, Cancelled.
    """
    scheme = address.partition(":")[0].lower()
    if scheme not in FETCHERS:
        raise OptionInvalid(f"{redact(address)}: unsupported address; expected {', '.join(FETCHERS)}")
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise OptionInvalid("invalid sha256: expected 64 hexadecimal digits")
    context = RequestContext.start(address, limits, monitor, transport or Transport())
    return FETCHERS[scheme]()(address, target, sha256, context)
