"""What S3 and boto3 say when something goes wrong, as errors of ours that name the setting to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lipsync.errors import LipsyncError, SettingInvalid, StorageFailed
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
WORDS = 300  # characters of a server's own words that are passed on

# The codes of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html that no retry helps against; the
# numbers stand where an answer has no body, as to HEAD.
_SETTINGS: Mapping[str, tuple[str, str]] = {
    "NoSuchBucket": (S3_BUCKET, "there is no bucket {bucket}"),
    "404": (S3_BUCKET, "there is no bucket {bucket}"),
    "InvalidBucketName": (S3_BUCKET, "{bucket} is no name of a bucket"),
    "AccessDenied": (S3_BUCKET, "these credentials may not write to the bucket {bucket}"),
    "AllAccessDisabled": (S3_BUCKET, "these credentials may not write to the bucket {bucket}"),
    "403": (S3_BUCKET, "these credentials may not use the bucket {bucket}"),
    "InvalidAccessKeyId": (S3_ACCESS_KEY, "the server does not know this access key"),
    "SignatureDoesNotMatch": (S3_SECRET_KEY, "the secret key is not the access key's"),
    "ExpiredToken": (S3_SESSION_TOKEN, "the temporary credentials have expired"),
    "InvalidToken": (S3_SESSION_TOKEN, "the session token is not the access key's"),
    "AuthorizationHeaderMalformed": (S3_REGION, "the bucket {bucket} is not in {region}{where}"),
    "PermanentRedirect": (S3_REGION, "the bucket {bucket} is not in {region}{where}"),
    "IllegalLocationConstraintException": (S3_REGION, "the bucket {bucket} is not in {region}{where}"),
    "301": (S3_REGION, "the bucket {bucket} is not in {region}{where}"),
    "KMS.NotFoundException": (S3_KMS_KEY, "there is no such key"),
    "KMS.DisabledException": (S3_KMS_KEY, "the key is disabled"),
    "KMS.KMSInvalidStateException": (S3_KMS_KEY, "the key cannot be used as it is"),
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
    """Around calls of boto3. Raises SettingInvalid, and StorageFailed, which may be over the next time."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        raise _refused(exc, options) from exc
    except BotoCoreError as exc:
        raise _failed(exc, options) from exc


def status(exc: ClientError) -> int:
    """The HTTP status of the answer."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def elsewhere(response: Mapping[str, Any], options: S3Options) -> SettingInvalid | None:
    """The error to raise if the answer tells that the bucket is in another region than is set."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    found = headers.get(REGION_HEADER) or response.get("Error", {}).get("Region")
    return _setting(_REGION, options, found) if found and found != options.region else None


def _refused(exc: ClientError, options: S3Options) -> LipsyncError:
    error = exc.response.get("Error", {})
    code = str(error.get("Code", ""))
    if code in ("301", "400", _REGION, "PermanentRedirect") and (other := elsewhere(exc.response, options)):
        return other
    if code in _SETTINGS:
        return _setting(code, options)
    said = _one_line(f"{code}: {error.get('Message', '')}")
    return StorageFailed(f"the bucket {options.bucket} did not do it: {said}")


def _setting(code: str, options: S3Options, region: str | None = None) -> SettingInvalid:
    name, text = _SETTINGS[code]
    where = f", but in {region}" if region else ""
    return SettingInvalid(f"{name}: {text.format(bucket=options.bucket, region=options.region, where=where)}")


def _failed(exc: BotoCoreError, options: S3Options) -> LipsyncError:
    kinds = [kind.__name__ for kind in type(exc).__mro__]
    if "NoCredentialsError" in kinds:
        return SettingInvalid(f"{S3_ACCESS_KEY} is not set, and boto3 finds no credentials in its usual places")
    if any(kind in _BAD_CREDENTIALS for kind in kinds):
        return SettingInvalid(f"{S3_ACCESS_KEY}: the credentials that boto3 finds cannot be used: {_one_line(exc)}")
    if "InvalidRegionError" in kinds:
        return SettingInvalid(f"{S3_REGION}: {options.region!r} is no region")
    if "ParamValidationError" in kinds:
        return SettingInvalid(f"{S3_BUCKET}: {options.bucket!r} is no name of a bucket: {_one_line(exc)}")
    place = f"{S3_ENDPOINT} {options.endpoint}" if options.endpoint else "S3"
    return StorageFailed(f"{place} cannot be reached: {_one_line(exc)}")


def _one_line(words: object) -> str:
    return " ".join(str(words).split())[:WORDS]
