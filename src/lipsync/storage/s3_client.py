"""Validation of S3 options, and clients made from them."""

from __future__ import annotations

import re
from typing import Any

from lipsync.errors import SettingInvalid
from lipsync.s3 import BUCKET_NAME, AddressingStyle, S3Credentials, open_client
from lipsync.storage.address import is_base_url
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

HOST_LABEL = re.compile(r"[a-z0-9-]+")  # a bucket that fits the wildcard of the server's TLS certificate
ENCRYPTIONS = ("", "AES256", "aws:kms")
MAX_LIFETIME = 604_800  # seconds; limit of Signature Version 4
MAX_ATTEMPTS = 3  # at one request
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 30.0  # seconds


def validate(options: S3Options) -> None:
    """Raise SettingInvalid, which names the first setting that is missing or invalid."""
    if not options.bucket:
        raise SettingInvalid(f"{S3_BUCKET} is not set")
    if not BUCKET_NAME.fullmatch(options.bucket):
        raise SettingInvalid(f"{S3_BUCKET}: invalid bucket name {options.bucket!r}")
    if not options.region:
        raise SettingInvalid(f"{S3_REGION} is not set; most S3-compatible servers use us-east-1")
    for setting, address in ((S3_ENDPOINT, options.endpoint), (S3_PUBLIC_ENDPOINT, options.public_endpoint)):
        if address and not is_base_url(address):
            raise SettingInvalid(f"{setting} is not a valid URL; expected for example https://s3.example.org")
    if bool(options.access_key) != bool(options.secret_key):
        missing = S3_SECRET_KEY if options.access_key else S3_ACCESS_KEY
        raise SettingInvalid(f"{missing} is not set, but the other half of the credentials is")
    if options.encryption not in ENCRYPTIONS:
        raise SettingInvalid(f"{S3_ENCRYPTION}: invalid value {options.encryption!r}; expected AES256 or aws:kms")
    if options.kms_key and options.encryption != "aws:kms":
        raise SettingInvalid(f"{S3_KMS_KEY} is set, but {S3_ENCRYPTION} is not aws:kms")
    if not options.public and not 1 <= options.lifetime <= MAX_LIFETIME:
        raise SettingInvalid(f"{LIFETIME} must be 1 to {MAX_LIFETIME} seconds for S3, not {options.lifetime}")


def open_storage_client(options: S3Options, endpoint: str, signed: bool = True) -> Any:
    """Open a boto3 client; the caller closes it. Raises ExtraMissing, SettingInvalid.

    Bodies are signed, so that every server rejects data damaged on the way, even one without newer checksums.
    """
    keys = (options.access_key, options.secret_key, options.session_token)
    credentials = S3Credentials(options.region, *keys)
    style: AddressingStyle = "virtual" if not endpoint and HOST_LABEL.fullmatch(options.bucket) else "path"
    with s3_errors(options):
        return open_client(
            credentials,
            endpoint,
            style,
            signed=signed,
            s3={"payload_signing_enabled": True},
            retries={"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
