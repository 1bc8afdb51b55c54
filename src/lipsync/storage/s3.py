"""S3 storage: a bucket on Amazon S3 or a compatible server.

The credentials need s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload and
s3:ListBucketMultipartUploads; s3:ListBucket improves error messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsync.monitor import Monitor
from lipsync.storage.base import S3Options, Stored
from lipsync.storage.keys import check_key
from lipsync.storage.s3_client import open_storage_client, validate
from lipsync.storage.s3_errors import http_status, region_error, s3_errors
from lipsync.storage.s3_upload import upload
from lipsync.storage.source import size_and_sha256

PROBE_KEY = "lipsync-check"  # never stored
UNEXPLAINED = (400, 403)  # responses to HEAD have no body with the reason; that of the next request has one
UNKNOWN = (*UNEXPLAINED, 404)  # without the right to list, a missing object is 403
UNLISTABLE = (*UNKNOWN, 405, 501)  # no right to list uploads, or not implemented by the server


class S3Storage:
    """Objects in one bucket. ``client`` sends requests; ``links`` only signs addresses."""

    def __init__(self, options: S3Options, client: Any, links: Any) -> None:
        self._options = options
        self._client = client
        self._links = links

    @classmethod
    def open(cls, options: S3Options) -> S3Storage:
        """Validate the options; send no request. Raises ExtraMissing, SettingInvalid, which names the setting."""
        validate(options)
        client = open_storage_client(options, options.endpoint)
        if not options.public and not options.public_endpoint:
            return cls(options, client, client)
        links = open_storage_client(options, options.public_endpoint or options.endpoint, signed=not options.public)
        return cls(options, client, links)

    def check(self) -> None:
        """Request the bucket, then begin and abort an upload, which needs the same rights as publishing.

        Raises SettingInvalid, StorageFailed.
        """
        from botocore.exceptions import ClientError

        with s3_errors(self._options):
            try:
                response = self._client.head_bucket(Bucket=self._options.bucket)
            except ClientError as exc:
                if http_status(exc) not in UNEXPLAINED:
                    raise
                response = exc.response  # writing may still be allowed without s3:ListBucket
            if error := region_error(response, self._options):
                raise error
            probe = self._client.create_multipart_upload(**self._object(PROBE_KEY), **self._encryption())
            self._client.abort_multipart_upload(**self._object(PROBE_KEY), UploadId=probe["UploadId"])

    def put(self, path: Path, key: str, content_type: str, monitor: Monitor) -> Stored:
        """See ``Storage.put``. The object's metadata carry the SHA-256."""
        target = self._object(check_key(key))
        size, sha256 = size_and_sha256(path, monitor)
        extra = {"ContentType": content_type, "Metadata": {"sha256": sha256}, **self._encryption()}
        if self._options.cache_control:
            extra["CacheControl"] = self._options.cache_control
        with s3_errors(self._options):
            if not self._is_stored(target, size, sha256):
                self._abort_orphans(target)
                self._send(target, path, (size, sha256), extra, monitor)
        return Stored(key, self.url(key), size, sha256)

    def url(self, key: str) -> str:
        """See ``Storage.url``: the bucket's regional host, or the endpoint with the bucket in the path."""
        with s3_errors(self._options):
            return str(
                self._links.generate_presigned_url(
                    "get_object", Params=self._object(check_key(key)), ExpiresIn=self._options.lifetime
                )
            )

    def delete(self, key: str) -> None:
        """See ``Storage.delete``."""
        target = self._object(check_key(key))
        with s3_errors(self._options):
            self._abort_orphans(target)
            self._client.delete_object(**target)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._links.close()

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._options.bucket, "Key": key}

    def _encryption(self) -> dict[str, Any]:
        options = self._options
        chosen = {"ServerSideEncryption": options.encryption} if options.encryption else {}
        return chosen | ({"SSEKMSKeyId": options.kms_key} if options.kms_key else {})

    def _send(
        self, target: dict[str, str], path: Path, expected: tuple[int, str], extra: dict[str, Any], monitor: Monitor
    ) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            upload(self._client, target, path, expected[0], extra, monitor)
        except (BotoCoreError, ClientError):
            if not self._is_stored(target, *expected):  # perhaps only the response was lost
                raise

    def _is_stored(self, target: dict[str, str], size: int, sha256: str) -> bool:
        """Whether the object already has this content."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.head_object(**target)
        except ClientError as exc:
            if http_status(exc) in UNKNOWN:
                return False
            raise
        return bool(found["ContentLength"] == size and found.get("Metadata", {}).get("sha256") == sha256)

    def _abort_orphans(self, target: dict[str, str]) -> None:
        """Abort unfinished uploads of crashed attempts at this key; a task has one worker at a time."""
        from botocore.exceptions import ClientError

        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            found = list(pages.paginate(Bucket=target["Bucket"], Prefix=target["Key"]))
        except ClientError as exc:
            if http_status(exc) in UNLISTABLE:
                return
            raise
        for orphan in [item for page in found for item in page.get("Uploads", []) if item["Key"] == target["Key"]]:
            self._client.abort_multipart_upload(**target, UploadId=orphan["UploadId"])
