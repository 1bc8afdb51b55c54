"""Clients of S3, made from options that were looked at first."""

from __future__ import annotations

import re
from typing import Any

from lipsync.errors import ExtraMissing, SettingInvalid
from lipsync.storage.address import is_server
from lipsync.storage.base import (
    LIFETIME,
    S3_ACCESS_KEY,
    S3_BUCKET,
    S3_ENCRYPTION,
    S3_ENDPOINT,
    S3_KMS_KEY,
    S3_PUBLIC_ENDPOINT,
    S3_REGION,
    S3_SECRET_KEY,
    S3Options,
)
from lipsync.storage.s3_errors import s3_errors

BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
HOST_NAME = re.compile(r"[a-z0-9-]+")  # a bucket that can be one label in front of the server's name, under its TLS
ENCRYPTIONS = ("", "AES256", "aws:kms")
LONGEST_LIFETIME = 604_800  # seconds; Signature Version 4 allows no more
TRIES = 3  # of one request in all
CONNECT, ANSWER = 5.0, 30.0  # seconds without a connection, without a byte


def validate(options: S3Options) -> None:
    """Raises SettingInvalid, which names the first setting that is missing or makes no sense."""
    if not options.bucket:
        raise SettingInvalid(f"{S3_BUCKET} is not set")
    if not BUCKET.fullmatch(options.bucket) or ".." in options.bucket:
        raise SettingInvalid(f"{S3_BUCKET}: {options.bucket!r} is no name of a bucket")
    if not options.region:
        raise SettingInvalid(
            f"{S3_REGION} is not set; for a server of your own it is us-east-1, unless you chose another"
        )
    for setting, address in ((S3_ENDPOINT, options.endpoint), (S3_PUBLIC_ENDPOINT, options.public_endpoint)):
        if address and not is_server(address):
            raise SettingInvalid(f"{setting} is no address of a server, like https://s3.example.org")
    if bool(options.access_key) != bool(options.secret_key):
        missing = S3_SECRET_KEY if options.access_key else S3_ACCESS_KEY
        raise SettingInvalid(f"{missing} is not set, but the other half of the credentials is")
    if options.encryption not in ENCRYPTIONS:
        raise SettingInvalid(f"{S3_ENCRYPTION}: {options.encryption!r} is none of AES256 and aws:kms")
    if options.kms_key and options.encryption != "aws:kms":
        raise SettingInvalid(f"{S3_KMS_KEY} is set, but {S3_ENCRYPTION} is not aws:kms")
    if not options.public and not 1 <= options.lifetime <= LONGEST_LIFETIME:
        raise SettingInvalid(f"{LIFETIME}: {options.lifetime} seconds; S3's links are good for 1 to {LONGEST_LIFETIME}")


def connect(options: S3Options, endpoint: str, anonymous: bool = False) -> Any:
    """A boto3 client of S3, to be closed. Raises ExtraMissing, SettingInvalid.

    Bodies are signed, so that the server refuses what was damaged on the way, also one that knows no newer checksums.
    """
    try:
        import botocore
        from boto3.session import Session
        from botocore.config import Config
    except ImportError as exc:
        raise ExtraMissing("S3 needs boto3: pip install 'lip-sync-service[s3]'") from exc

    config = Config(
        signature_version=botocore.UNSIGNED if anonymous else "s3v4",
        s3={
            "addressing_style": _addressing(options, endpoint),
            "us_east_1_regional_endpoint": "regional",
            "payload_signing_enabled": True,
        },
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT,
        read_timeout=ANSWER,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        use_dualstack_endpoint=options.dualstack and not endpoint,
    )
    with s3_errors(options):
        session = Session(
            aws_access_key_id=options.access_key or None,
            aws_secret_access_key=options.secret_key or None,
            aws_session_token=options.session_token or None,
            region_name=options.region,
        )
        return session.client("s3", endpoint_url=endpoint or None, config=config)


def _addressing(options: S3Options, endpoint: str) -> str:
    """Said outright: left to itself, botocore signs links to the global address, which redirects to other regions."""
    return "virtual" if not endpoint and HOST_NAME.fullmatch(options.bucket) else "path"
