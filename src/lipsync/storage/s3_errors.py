"""Mapping of S3's and boto3's errors to the package's, naming the setting to correct."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lipsync.errors import LipsyncError, SettingInvalid, StorageFailed, one_line
from lipsync.s3 import botocore_exceptions
from lipsync.storage.base import (
    S3_ACCESS_KEY,
    S3_BUCKET,
    S3_ENDPOINT,
    S3_KMS_KEY,
    S3_REGION,
    S3_SECRET_KEY,
    S3_SESSION_TOKEN,
    S3Options,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

REGION_HEADER = "x-amz-bucket-region"
MAX_MESSAGE_CHARS = 300  # of a server's message

# Permanent error codes of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; numbers replace the code
# in responses without a body, as to HEAD.
_SETTINGS: Mapping[str, tuple[str, str]] = {
    "NoSuchBucket": (S3_BUCKET, "bucket {bucket} does not exist"),
    "404": (S3_BUCKET, "bucket {bucket} does not exist"),
    "InvalidBucketName": (S3_BUCKET, "invalid bucket name {bucket}"),
    "AccessDenied": (S3_BUCKET, "the credentials lack write access to bucket {bucket}"),
    "AllAccessDisabled": (S3_BUCKET, "the credentials lack write access to bucket {bucket}"),
    "403": (S3_BUCKET, "the credentials lack access to bucket {bucket}"),
    "InvalidAccessKeyId": (S3_ACCESS_KEY, "the server does not know this access key"),
    "SignatureDoesNotMatch": (S3_SECRET_KEY, "the secret key does not match the access key"),
    "ExpiredToken": (S3_SESSION_TOKEN, "the temporary credentials have expired"),
    "InvalidToken": (S3_SESSION_TOKEN, "the session token does not match the access key"),
    "AuthorizationHeaderMalformed": (S3_REGION, "bucket {bucket} is not in {region}{where}"),
    "PermanentRedirect": (S3_REGION, "bucket {bucket} is not in {region}{where}"),
    "IllegalLocationConstraintException": (S3_REGION, "bucket {bucket} is not in {region}{where}"),
    "301": (S3_REGION, "bucket {bucket} is not in {region}{where}"),
    "KMS.NotFoundException": (S3_KMS_KEY, "the key does not exist"),
    "KMS.DisabledException": (S3_KMS_KEY, "the key is disabled"),
    "KMS.KMSInvalidStateException": (S3_KMS_KEY, "the key's state does not allow its use"),
}
_REGION = "AuthorizationHeaderMalformed"
_BAD_CREDENTIALS = (
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "ConfigParseError",
    "TokenRetrievalError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
)


@contextmanager
def s3_errors(options: S3Options) -> Iterator[None]:
    """Map errors of boto3 within the block. Raises SettingInvalid, and StorageFailed, which is retryable."""
    exceptions = botocore_exceptions()
    try:
        yield
    except exceptions.ClientError as exc:
        raise _refused(exc, options) from exc
    except exceptions.BotoCoreError as exc:
        raise _failed(exc, options) from exc


def http_status(exc: ClientError) -> int:
    """Return the HTTP status of the response."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def region_error(response: Mapping[str, Any], options: S3Options) -> SettingInvalid | None:
    """Return the error to raise if the response names another region than the setting."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    found = headers.get(REGION_HEADER) or response.get("Error", {}).get("Region")
    return _setting(_REGION, options, found) if found and found != options.region else None


def _refused(exc: ClientError, options: S3Options) -> LipsyncError:
    error = exc.response.get("Error", {})
    code = str(error.get("Code", ""))
    if code in ("301", "400", _REGION, "PermanentRedirect") and (other := region_error(exc.response, options)):
        return other
    if code in _SETTINGS:
        return _setting(code, options)
    message = one_line(f"{code}: {error.get('Message', '')}")[:MAX_MESSAGE_CHARS]
    return StorageFailed(f"the request to bucket {options.bucket} failed: {message}")


def _setting(code: str, options: S3Options, region: str | None = None) -> SettingInvalid:
    name, text = _SETTINGS[code]
    where = f", but in {region}" if region else ""
    return SettingInvalid(f"{name}: {text.format(bucket=options.bucket, region=options.region, where=where)}")


def _failed(exc: BotoCoreError, options: S3Options) -> LipsyncError:
    kinds, message = [kind.__name__ for kind in type(exc).__mro__], one_line(exc)[:MAX_MESSAGE_CHARS]
    if "NoCredentialsError" in kinds:
        return SettingInvalid(f"{S3_ACCESS_KEY} is not set, and boto3 found no other credentials")
    if any(kind in _BAD_CREDENTIALS for kind in kinds):
        return SettingInvalid(f"{S3_ACCESS_KEY}: the credentials that boto3 found are not usable: {message}")
    if "InvalidRegionError" in kinds:
        return SettingInvalid(f"{S3_REGION}: invalid region {options.region!r}")
    if "ParamValidationError" in kinds:
        return SettingInvalid(f"{S3_BUCKET}: invalid bucket name {options.bucket!r}: {message}")
    server = f"{S3_ENDPOINT} {options.endpoint}" if options.endpoint else "S3"
    return StorageFailed(f"{server} is unreachable: {message}")
