"""A bucket of S3, Amazon's or any server's that speaks the same.

What the credentials have to be allowed: s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload and
s3:ListBucketMultipartUploads; s3:ListBucket makes errors clearer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsync.monitor import Monitor
from lipsync.storage.base import S3Options, Stored
from lipsync.storage.keys import check_key
from lipsync.storage.s3_client import connect, validate
from lipsync.storage.s3_errors import elsewhere, s3_errors, status
from lipsync.storage.s3_upload import upload
from lipsync.storage.source import measure

PROBE = "lipsync-check"  # a key that nothing is ever stored under
UNREASONED = (400, 403)  # answers to HEAD, which have no body to say why; the next request's answer has
UNKNOWN = (*UNREASONED, 404)  # whether an object is there is not told to everybody
UNLISTED = (*UNKNOWN, 405, 501)  # unfinished uploads cannot be listed by these credentials, or on this server


class S3Storage:
    """Objects in one bucket; ``client`` sends, ``links`` only computes addresses."""

    def __init__(self, options: S3Options, client: Any, links: Any) -> None:
        self._options = options
        self._client = client
        self._links = links

    @classmethod
    def open(cls, options: S3Options) -> S3Storage:
        """Raises SettingInvalid, which names the setting, and ExtraMissing. Sends nothing yet."""
        validate(options)
        client = connect(options, options.endpoint)
        if not options.public and not options.public_endpoint:
            return cls(options, client, client)
        links = connect(options, options.public_endpoint or options.endpoint, anonymous=options.public)
        return cls(options, client, links)

    def check(self) -> None:
        """Ask for the bucket, then begin and drop an upload, which takes every right that publishing takes.

        Raises SettingInvalid, StorageFailed.
        """
        from botocore.exceptions import ClientError

        with s3_errors(self._options):
            try:
                answer = self._client.head_bucket(Bucket=self._options.bucket)
            except ClientError as exc:
                if status(exc) not in UNREASONED:
                    raise
                answer = exc.response  # without s3:ListBucket one may still write
            if wrong := elsewhere(answer, self._options):
                raise wrong
            begun = self._client.create_multipart_upload(**self._place(PROBE), **self._encryption())
            self._client.abort_multipart_upload(**self._place(PROBE), UploadId=begun["UploadId"])

    def put(self, path: Path, key: str, content_type: str, monitor: Monitor) -> Stored:
        """See ``Storage.put``. The SHA-256 goes with the object, as its metadata ``sha256``."""
        place = self._place(check_key(key))
        size, sha256 = measure(path, monitor)
        extra = {"ContentType": content_type, "Metadata": {"sha256": sha256}, **self._encryption()}
        if self._options.cache_control:
            extra["CacheControl"] = self._options.cache_control
        with s3_errors(self._options):
            if not self._holds(place, size, sha256):
                self._sweep(place)
                self._send(place, path, (size, sha256), extra, monitor)
        return Stored(key, self.url(key), size, sha256)

    def url(self, key: str) -> str:
        """See ``Storage.url``: the bucket's own address in its region, or the endpoint and the bucket in the path."""
        with s3_errors(self._options):
            return str(
                self._links.generate_presigned_url(
                    "get_object", Params=self._place(check_key(key)), ExpiresIn=self._options.lifetime
                )
            )

    def delete(self, key: str) -> None:
        """See ``Storage.delete``."""
        place = self._place(check_key(key))
        with s3_errors(self._options):
            self._sweep(place)
            self._client.delete_object(**place)

    def close(self) -> None:
        """End all connections."""
        self._client.close()
        self._links.close()

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._options.bucket, "Key": key}

    def _encryption(self) -> dict[str, Any]:
        options = self._options
        chosen = {"ServerSideEncryption": options.encryption} if options.encryption else {}
        return chosen | ({"SSEKMSKeyId": options.kms_key} if options.kms_key else {})

    def _send(
        self, place: dict[str, str], path: Path, whole: tuple[int, str], extra: dict[str, Any], monitor: Monitor
    ) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            upload(self._client, place, path, whole[0], extra, monitor)
        except (BotoCoreError, ClientError):
            if not self._holds(place, *whole):  # only the answer may have been lost
                raise

    def _holds(self, place: dict[str, str], size: int, sha256: str) -> bool:
        """Whether this very content is there already."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.head_object(**place)
        except ClientError as exc:
            if status(exc) in UNKNOWN:
                return False
            raise
        return bool(found["ContentLength"] == size and found.get("Metadata", {}).get("sha256") == sha256)

    def _sweep(self, place: dict[str, str]) -> None:
        """Take away the parts that an earlier attempt at this key left when it died: one at a time has its task."""
        from botocore.exceptions import ClientError

        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            found = list(pages.paginate(Bucket=place["Bucket"], Prefix=place["Key"]))
        except ClientError as exc:
            if status(exc) in UNLISTED:
                return
            raise
        for begun in [item for page in found for item in page.get("Uploads", []) if item["Key"] == place["Key"]]:
            self._client.abort_multipart_upload(**place, UploadId=begun["UploadId"])
