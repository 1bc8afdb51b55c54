"""Transport of a download: DNS, TLS and S3 credentials, and the context that one request carries."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Self

from lipsync.monitor import Monitor
from lipsync.net.deadline import Deadline
from lipsync.net.limits import Limits
from lipsync.net.policy import Resolver, system_resolver
from lipsync.net.url import redact


@dataclass(frozen=True, slots=True)
class S3Access:
    """Credentials for s3:// inputs. A value of None comes from boto3's credential chain.

    ``endpoint``: URL of an S3-compatible server; its host is allowed even on a private address. ``buckets``: the only
    buckets that may be read, whatever else the credentials open. The repr hides secrets.
    """

    region: str | None = None
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    buckets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transport:
    """Name resolution, TLS trust (None: the system's authorities) and S3 credentials."""

    resolver: Resolver = system_resolver
    tls: ssl.SSLContext | None = None
    s3: S3Access = field(default_factory=S3Access)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """State that one download or message carries through its requests. ``source``: redacted address for messages."""

    source: str
    limits: Limits
    monitor: Monitor
    transport: Transport
    deadline: Deadline

    @classmethod
    def start(cls, address: str, limits: Limits, monitor: Monitor, transport: Transport) -> Self:
        """Start the timeouts for a request to ``address``."""
        return cls(redact(address), limits, monitor, transport, Deadline(limits, monitor))
