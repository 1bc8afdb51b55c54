"""What a fetch uses of the world around it, handed in from outside."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from lipsync.net.policy import Resolver, system_resolver


@dataclass(frozen=True, slots=True)
class S3Access:
    """The keys to S3. What is None is looked for where boto3 looks: its files, and the machine's own role.

    ``endpoint``: of another S3 than Amazon's; its host is open whatever its address is. ``buckets``: the only ones that
    may be read, whatever else the keys open. ``anonymous``: ask without keys. Secrets do not show in its repr.
    """

    region: str | None = None
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    buckets: tuple[str, ...] = ()
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Transport:
    """How names become addresses, whom to trust (the system's authorities if None), and the keys to S3."""

    resolver: Resolver = system_resolver
    tls: ssl.SSLContext | None = None
    s3: S3Access = field(default_factory=S3Access)
