"""Download from S3: boto3 signs an address, which is downloaded like any other, within the same limits."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from lipsync.errors import AddressForbidden, OptionInvalid
from lipsync.net.download import HttpDownload
from lipsync.net.limits import Fetched
from lipsync.net.response import permanent_failure, sanitise
from lipsync.net.transport import RequestContext, S3Access
from lipsync.net.url import parse, redact
from lipsync.s3 import BUCKET_NAME, AddressingStyle, S3Credentials, botocore_exceptions, open_client

MAX_KEY_BYTES = 1024  # S3's limit
SIGNATURE_SECONDS = 3600  # only the start of a download needs a valid signature


def fetch_s3(address: str, target: Path, sha256: str | None, context: RequestContext) -> Fetched:
    """Download the object ``s3://bucket/key`` to ``target``. Raises as ``lipsync.net.fetch`` does."""
    bucket, key = bucket_and_key(address)
    access = context.transport.s3
    if bucket not in access.buckets:
        raise AddressForbidden(f"s3://{bucket}: not one of the allowed buckets (LIPSYNC_INPUT_BUCKETS)")
    signed = parse(_sign(bucket, key, access))
    # The operator chose the endpoint, which is often on a private network.
    limits = replace(context.limits, allowed_hosts=(*context.limits.allowed_hosts, signed.host))
    identity = f"{signed.scheme}://{signed.authority} {bucket} {key}"
    return HttpDownload(replace(context, limits=limits)).run(signed, target, identity, sha256)


def bucket_and_key(address: str) -> tuple[str, str]:
    """Split an s3 address; the key is taken literally. Raises OptionInvalid."""
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not BUCKET_NAME.fullmatch(bucket):
        raise OptionInvalid(f"{redact(address)}: expected s3://bucket/key with a lower-case bucket name")
    # A server that normalises paths would turn dot segments into another bucket's object.
    is_plain = key.isprintable() and not {".", ".."} & set(key.split("/"))
    if not key or not is_plain or len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        raise OptionInvalid(f"s3://{bucket}: missing or invalid key")
    return bucket, key


def _sign(bucket: str, key: str, access: S3Access) -> str:
    """Presign an http address of one object."""
    # Few S3-compatible servers have a host name for each bucket.
    style: AddressingStyle = "virtual" if access.endpoint is None else "auto"
    credentials = S3Credentials(access.region, access.access_key, access.secret_key, access.session_token)
    exceptions = botocore_exceptions()
    try:
        client = open_client(credentials, access.endpoint, style)
        params = {"Bucket": bucket, "Key": key}
        with closing(client):
            return str(client.generate_presigned_url("get_object", params, ExpiresIn=SIGNATURE_SECONDS))
    except (exceptions.BotoCoreError, ValueError) as exc:
        raise permanent_failure(f"s3://{bucket}: cannot sign the request to S3: {sanitise(str(exc))}") from exc
