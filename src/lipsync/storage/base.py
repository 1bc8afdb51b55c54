"""Storage port: publishes finished files, each completely or not at all.

Errors name the settings that the operator has to correct, so the names are constants here.
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
CONTENT_TYPES = {  # of published files, by suffix
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
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

STAGE = "upload"  # of progress reports, which count bytes
DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """A local folder. ``base_url``: public address of the API, ``https://host[/path]``.

    ``secret``: signs the links, at least 16 characters; ``lifetime``: validity of a link, in seconds.
    """

    folder: Path
    base_url: str
    secret: str = field(repr=False)
    lifetime: int = DAY


@dataclass(frozen=True, slots=True)
class S3Options:
    """A bucket. ``endpoint``: an S3-compatible server, ``https://host[:port]``, empty for Amazon S3;
    ``public_endpoint``: its public address, for links. Without ``access_key`` boto3's credential chain applies.

    ``public``: return unsigned links, for a bucket with public read access; otherwise links are signed and valid for
    ``lifetime`` seconds, at most 7 days, and no longer than temporary credentials. ``encryption``: "", "AES256" or
    "aws:kms", the last with ``kms_key`` or the bucket's default key. ``cache_control``: header of published objects.
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


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Options of all storages; each storage reads its own."""

    local: LocalOptions | None = None
    s3: S3Options | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A published file. ``url`` may expire; ``Storage.url`` returns a new one. ``size`` in bytes, ``sha256`` in hex."""

    key: str
    url: str
    size: int
    sha256: str


class Storage(Protocol):
    """Destination of finished files. Thread-safe; close it with ``contextlib.closing``."""

    def check(self) -> None:
        """Check that results can be published. Raises SettingInvalid, which names the setting, and StorageFailed."""

    def put(self, path: Path, key: str, content_type: str, monitor: Monitor) -> Stored:
        """Publish a file under ``key``, completely or not at all; publishing the same content again changes nothing.

        Reports progress in bytes as the stage "upload". Raises OptionInvalid for an invalid key, FileMissing, NotAFile,
        FileUnreadable, DiskFull, OutputUnwritable, StorageFailed, SettingInvalid, Cancelled.
        """

    def url(self, key: str) -> str:
        """Return a new link to the file. Raises OptionInvalid, SettingInvalid."""

    def delete(self, key: str) -> None:
        """Delete the file and the remains of unfinished attempts; do nothing if it does not exist.

        Raises OptionInvalid, OutputUnwritable, StorageFailed, SettingInvalid.
        """

    def close(self) -> None:
        """Close all connections."""
