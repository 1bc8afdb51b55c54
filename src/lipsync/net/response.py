"""What a server's answer means: the file, a part of it, another place, or that there is nothing to be had."""

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
LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
DATE = re.compile(r"[A-Za-z0-9,: +-]{1,40}")
SPAN = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
PACKED = ("gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd")
LONGEST_WORDS = 120


def permanent_failure(message: str) -> FetchFailed:
    """The failure of a fetch that would fail the same way if it were tried again."""
    error = FetchFailed(message)
    error.retryable = False  # type: ignore[misc]  # this one differs from its class, which has only one code
    return error


@contextmanager
def network_errors(source: str) -> Iterator[None]:
    """Around the talk with a server. Raises FetchFailed."""
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        raise permanent_failure(f"{source}: the server's certificate is not trusted: {exc.verify_message}") from exc
    except (OSError, HTTPException) as exc:
        problem = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise FetchFailed(f"{source}: the connection failed: {words(problem) or type(exc).__name__}") from exc


def check_status(source: str, answer: HTTPResponse) -> None:
    """Raise FetchFailed if the answer is not a file or a part of one."""
    if answer.status in (*OK, HTTPStatus.PARTIAL_CONTENT):
        packed = words(answer.headers.get("Content-Encoding", "")).lower()
        if any(name.strip() in PACKED for name in packed.split(",")):
            raise permanent_failure(
                f"{source}: the server sends the file packed ({packed}), which it was asked not to do"
            )
        return
    said = f"{source}: the server says {answer.status} {words(answer.reason)}".rstrip()
    if after := words(answer.headers.get("Retry-After", "")):
        said += f" and asks to come back later (Retry-After: {after})"
    if region := words(answer.headers.get("x-amz-bucket-region", "")):
        said += f" (the bucket is in the region {region})"
    if answer.status in LATER or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise FetchFailed(said)
    raise permanent_failure(said)


def validator_of(answer: HTTPResponse) -> Validator | None:
    """What names this state of the file beyond doubt (RFC 9110, 8.8): a strong tag, or a date that is not fresh."""
    tag = answer.headers.get("ETag", "")
    if STRONG_TAG.fullmatch(tag):
        return Validator("ETag", tag)
    changed, sent = answer.headers.get("Last-Modified", ""), answer.headers.get("Date", "")
    if not tag and DATE.fullmatch(changed) and DATE.fullmatch(sent):
        try:
            settled = parsedate_to_datetime(sent) - parsedate_to_datetime(changed) >= timedelta(seconds=1)
        except (ValueError, TypeError, OverflowError):  # no dates, or only one of them with a time zone
            return None
        return Validator("Last-Modified", changed) if settled else None
    return None


def is_resumable(answer: HTTPResponse, part: PartialFile) -> bool:
    """Whether the answer is the rest of the part, of the same state of the file."""
    span = SPAN.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status != HTTPStatus.PARTIAL_CONTENT or part.version is None or span is None:
        return False
    # If-Range asks for this already, and not every server has heard of it.
    same = answer.headers.get(part.version.name, part.version.value) == part.version.value
    return same and int(span[1]) == part.size


def size_of(answer: HTTPResponse) -> int | None:
    """Bytes of the whole file as the answer tells them, None if it does not. Raises nothing."""
    span = SPAN.fullmatch(answer.headers.get("Content-Range", ""))
    return int(span[3]) if span is not None and answer.status == HTTPStatus.PARTIAL_CONTENT else answer.length


def content_type_of(answer: HTTPResponse) -> str | None:
    """The media type without its parameters, lower case."""
    return words(answer.headers.get("Content-Type", "").partition(";")[0]).lower() or None


def words(text: str) -> str:
    """What a server said, fit to be shown: on one line, printable, and not endless."""
    line = " ".join(text.split())
    return "".join(sign for sign in line if sign.isprintable())[:LONGEST_WORDS]
