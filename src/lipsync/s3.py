"""S3 bucket names and clients, for s3:// inputs and for results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lipsync.errors import ExtraMissing

BUCKET_NAME = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3's rules for general purpose buckets

MISSING = "S3 requires boto3. Run: pip install 'lip-sync-service[s3]'"

AddressingStyle = Literal["auto", "virtual", "path"]


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """Region and keys; what is None or empty comes from boto3's credential chain. The repr hides secrets."""

    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


def botocore_exceptions() -> Any:
    """Import botocore's module of exceptions. Raises ExtraMissing."""
    try:
        from botocore import exceptions
    except ImportError as exc:
        raise ExtraMissing(MISSING) from exc
    return exceptions


def open_client(
    credentials: S3Credentials,
    endpoint: str | None,
    style: AddressingStyle,
    *,
    signed: bool = True,
    s3: Mapping[str, Any] | None = None,
    **config: Any,
) -> Any:
    """Open a boto3 S3 client; the caller closes it. ``s3`` and ``config`` extend botocore's Config.

    The addressing style is explicit: by default botocore signs for Amazon's global host, which redirects to other
    regions, where the signature is invalid. Raises ExtraMissing, and botocore's errors and ValueError unchanged.
    """
    try:
        import boto3
        import botocore
        from botocore.config import Config
    except ImportError as exc:
        raise ExtraMissing(MISSING) from exc

    session = boto3.session.Session(
        aws_access_key_id=credentials.access_key or None,
        aws_secret_access_key=credentials.secret_key or None,
        aws_session_token=credentials.session_token or None,
        region_name=credentials.region or None,
    )
    options = Config(
        signature_version="s3v4" if signed else botocore.UNSIGNED,
        s3={"addressing_style": style, "us_east_1_regional_endpoint": "regional", **(s3 or {})},
        ignore_configured_endpoint_urls=True,
        **config,
    )
    return session.client("s3", endpoint_url=endpoint or None, config=options)
