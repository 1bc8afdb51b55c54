"""Interpretation of HTTP responses: complete file, partial file, failure now or for good."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse

from lipsync.errors import FetchFailed
from lipsync.net.partial_file import PartialFile, Validator

OK = (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION)
RETRYABLE = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
DATE = re.compile(r"[A-Za-z0-9,: +-]{1,40}")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
COMPRESSED = ("gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd")
MAX_TEXT_CHARS = 120  # of server text in messages


def permanent_failure(message: str) -> FetchFailed:
    """Return a FetchFailed that is not retryable: the same request would fail again."""
    error = FetchFailed(message)
    error.retryable = False  # type: ignore[misc]  # differs from its class, which has one code for both
    return error


@contextmanager
def network_errors(source: str) -> Iterator[None]:
    """Map network failures within the block to FetchFailed."""
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        raise permanent_failure(f"{source}: the server's certificate is not trusted: {exc.verify_message}") from exc
    except (OSError, HTTPException) as exc:
        problem = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise FetchFailed(f"{source}: the connection failed: {sanitise(problem) or type(exc).__name__}") from exc


def check_status(source: str, response: HTTPResponse) -> None:
    """Raise FetchFailed unless the response carries the file or a part of it, uncompressed."""
    if response.status in (*OK, HTTPStatus.PARTIAL_CONTENT):
        encoding = sanitise(response.headers.get("Content-Encoding", "")).lower()
        if any(name.strip() in COMPRESSED for name in encoding.split(",")):
            raise permanent_failure(f"{source}: the server compresses the file ({encoding}) although not asked to")
        return
    message = f"{source}: the server responded {response.status} {sanitise(response.reason)}".rstrip()
    if after := sanitise(response.headers.get("Retry-After", "")):
        message += f" (Retry-After: {after})"
    if region := sanitise(response.headers.get("x-amz-bucket-region", "")):
        message += f" (the bucket is in the region {region})"
    if response.status in RETRYABLE or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise FetchFailed(message)
    raise permanent_failure(message)


def validator_of(response: HTTPResponse) -> Validator | None:
    """Return a strong validator (RFC 9110, 8.8): a strong ETag, or a Last-Modified at least one second old."""
    tag = response.headers.get("ETag", "")
    if STRONG_TAG.fullmatch(tag):
        return Validator("ETag", tag)
    modified, sent = response.headers.get("Last-Modified", ""), response.headers.get("Date", "")
    if not tag and DATE.fullmatch(modified) and DATE.fullmatch(sent):
        try:
            strong = parsedate_to_datetime(sent) - parsedate_to_datetime(modified) >= timedelta(seconds=1)
        except (ValueError, TypeError, OverflowError):  # not dates, or only one with a time zone
            return None
        return Validator("Last-Modified", modified) if strong else None
    return None


def is_resumable(response: HTTPResponse, part: PartialFile) -> bool:
    """Whether the response is the rest of the partial file, in the same state."""
    span = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != HTTPStatus.PARTIAL_CONTENT or part.validator is None or span is None:
        return False
    # If-Range requests the same state, but not every server implements it.
    same = response.headers.get(part.validator.name, part.validator.value) == part.validator.value
    return same and int(span[1]) == part.size


def size_of(response: HTTPResponse) -> int | None:
    """Return the size of the whole file in bytes, None if the response does not state it."""
    span = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(span[3]) if span is not None and response.status == HTTPStatus.PARTIAL_CONTENT else response.length


def content_type_of(response: HTTPResponse) -> str | None:
    """Return the media type in lower case, without parameters."""
    return sanitise(response.headers.get("Content-Type", "").partition(";")[0]).lower() or None


def sanitise(text: str) -> str:
    """Make server text safe for messages: one line, printable, short."""
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:MAX_TEXT_CHARS]
