"""A file from S3. boto3 signs the question; it is asked like every other, so that the same limits hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from lipsync.errors import AddressForbidden, ExtraMissing, OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net.download import HttpDownload
from lipsync.net.limits import Fetched, Limits
from lipsync.net.response import permanent_failure, words
from lipsync.net.transport import S3Access, Transport
from lipsync.net.url import parse, redact

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
LONGEST_KEY = 1024  # bytes, S3's own limit
VALID = 3600  # seconds that a signature holds; only the beginning of a fetch needs it


def fetch_s3(
    address: str, target: Path, limits: Limits, monitor: Monitor, sha256: str | None, transport: Transport
) -> Fetched:
    """Bring the object at ``s3://bucket/key`` to ``target``. Raises as ``lipsync.net.fetch`` does."""
    bucket, key = bucket_and_key(address)
    if bucket not in transport.s3.buckets:
        raise AddressForbidden(f"s3://{bucket}: not one of the buckets that may be read (LIPSYNC_INPUT_BUCKETS)")
    signed = parse(_sign(bucket, key, transport.s3))
    # Whoever runs the service chose the endpoint, which is often a machine of the own network.
    limits = replace(limits, allowed_hosts=(*limits.allowed_hosts, signed.host))
    identity = f"{signed.scheme}://{signed.authority} {bucket} {key}"
    return HttpDownload(redact(address), limits, monitor, transport).run(signed, target, identity, sha256)


def bucket_and_key(address: str) -> tuple[str, str]:
    """The two parts of an s3 address; the key is taken as it stands. Raises OptionInvalid."""
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not BUCKET.fullmatch(bucket):
        raise OptionInvalid(f"{redact(address)}: not s3://bucket/key with a bucket's name in lower case")
    # A server that tidies paths up would make another bucket's object of one with dots.
    tidy = key.isprintable() and not {".", ".."} & set(key.split("/"))
    if not key or not tidy or len(key.encode("utf-8", "replace")) > LONGEST_KEY:
        raise OptionInvalid(f"s3://{bucket}: there is no key in it that can be asked for")
    return bucket, key


def _sign(bucket: str, key: str, access: S3Access) -> str:
    """An http address that opens this one object for a while."""
    try:
        import boto3
        import botocore
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as exc:
        raise ExtraMissing("s3:// addresses need boto3: pip install 'lip-sync-service[s3]'") from exc
    signature: Any = botocore.UNSIGNED if access.anonymous else "s3v4"
    # Left to itself boto3 signs for Amazon's host of no region, which sends young buckets' askers on, and the signature
    # does not hold there. Other endpoints seldom have a host for every bucket.
    style = "virtual" if access.endpoint is None else "auto"
    try:
        client = boto3.session.Session().client(
            "s3",
            region_name=access.region,
            endpoint_url=access.endpoint,
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            aws_session_token=access.session_token,
            config=Config(signature_version=signature, s3={"addressing_style": style}),
        )
        return str(client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=VALID))
    except (BotoCoreError, ValueError) as exc:
        raise permanent_failure(f"s3://{bucket}: the question to S3 cannot be signed: {words(str(exc))}") from exc
