"""What every storage is: the place where finished files are published, each whole or not at all.

The names of settings stand in errors, so that whoever reads one knows what to set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lipsync.monitor import Monitor

FOLDER = "LIPSYNC_STORAGE_FOLDER"
BASE_URL = "LIPSYNC_PUBLIC_URL"
SECRET = "LIPSYNC_SECRET"
LIFETIME = "LIPSYNC_URL_LIFETIME"
KEY_TEMPLATE = "LIPSYNC_RESULT_KEY_TEMPLATE"
CONTENT_TYPES = {  # of what is published, by the ends of files' names
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".json": "application/json",
}
S3_BUCKET = "LIPSYNC_S3_BUCKET"
S3_REGION = "LIPSYNC_S3_REGION"
S3_ENDPOINT = "LIPSYNC_S3_ENDPOINT"
S3_PUBLIC_ENDPOINT = "LIPSYNC_S3_PUBLIC_ENDPOINT"
S3_ACCESS_KEY = "LIPSYNC_S3_ACCESS_KEY"
S3_SECRET_KEY = "LIPSYNC_S3_SECRET_KEY"
S3_SESSION_TOKEN = "LIPSYNC_S3_SESSION_TOKEN"
S3_ENCRYPTION = "LIPSYNC_S3_ENCRYPTION"
S3_KMS_KEY = "LIPSYNC_S3_KMS_KEY"

STAGE = "upload"  # of progress; in bytes
DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """A folder on this machine. ``base_url``: where the API is reached from outside, ``https://host[/path]``.

    ``secret`` signs the links, 16 characters or more; ``lifetime``: seconds that a link is good for.
    """

    folder: Path
    base_url: str
    secret: str = field(repr=False)
    lifetime: int = DAY


@dataclass(frozen=True, slots=True)
class S3Options:
    """A bucket. ``endpoint``: a server other than Amazon's, ``https://host[:port]``; ``public_endpoint``: the same one
    as it is reached from outside, for links. Without ``access_key`` boto3 looks for credentials in its usual places.

    ``public``: links are plain, for a bucket that everybody may read; else signed and good for ``lifetime`` seconds, at
    most 7 days, and no longer than temporary credentials are. ``encryption``: "", "AES256" or "aws:kms", the last with
    ``kms_key`` or the bucket's own. ``dualstack``: Amazon's addresses that answer over IPv6 too.
    """

    bucket: str
    region: str
    endpoint: str = ""
    public_endpoint: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    public: bool = False
    lifetime: int = DAY
    encryption: str = ""
    kms_key: str = ""
    cache_control: str = ""
    dualstack: bool = False


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """What may be set about storages; each takes what concerns it."""

    local: LocalOptions | None = None
    s3: S3Options | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A published file. ``url`` may expire; ``Storage.url`` gives a fresh one. ``size`` in bytes, ``sha256`` in hex."""

    key: str
    url: str
    size: int
    sha256: str


class Storage(Protocol):
    """Where finished files go. Safe to use from several threads at once; ``contextlib.closing`` ends it."""

    def check(self) -> None:
        """Whether results can be published here. Raises SettingInvalid, which names the setting, and StorageFailed."""

    def put(self, path: Path, key: str, content_type: str, monitor: Monitor) -> Stored:
        """Publish the file under ``key``, whole or not at all; the same content again under the same key stays one.

        Progress is that of the stage "upload", in bytes. Raises OptionInvalid for a key that is none, FileMissing,
        FileUnreadable, DiskFull, OutputUnwritable, StorageFailed, SettingInvalid, Cancelled.
        """

    def url(self, key: str) -> str:
        """A fresh link to the file. Raises OptionInvalid, SettingInvalid."""

    def delete(self, key: str) -> None:
        """Take the file away, and what unfinished attempts left; no error if there is none.

        Raises OptionInvalid, OutputUnwritable, StorageFailed, SettingInvalid.
        """

    def close(self) -> None:
        """End all connections."""
