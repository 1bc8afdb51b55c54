"""Open the resources that every entry point of the service needs: clock, task store, result storage, secret."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

from lipsync.files import make_folder, write_errors
from lipsync.settings import Settings
from lipsync.storage import STORAGES
from lipsync.storage.base import LocalOptions, S3Options, Storage, StorageOptions
from lipsync.tasks.database import STATEMENT_TIMEOUT
from lipsync.tasks.secrets import link_secret
from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.webhooks import webhook_body

SECRET_FILE = "secret"
PRIVATE_MODE = 0o700


def now() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC)


@contextmanager
def open_tasks(settings: Settings) -> Iterator[TaskStore]:
    """Open the task store with its schema migrated. Raises SettingInvalid, StorageFailed, OutputUnwritable."""
    make_folder(settings.data_dir, PRIVATE_MODE)
    migrate(settings.database)
    timeout = min(STATEMENT_TIMEOUT, settings.lease_seconds / 4)  # a slow store must not cost a worker its lease
    with open_store(settings.database, webhook_body=webhook_body, statement_timeout=timeout) as store:
        yield store


@contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """Open the storage where results are published. Raises SettingInvalid, StorageFailed, OutputUnwritable."""
    if settings.storage == "local":
        folder = settings.storage_folder or settings.data_dir / "results"
        make_folder(folder, PRIVATE_MODE)
        secret = link_secret(secret_of(settings))
        options = StorageOptions(local=LocalOptions(folder, settings.address, secret, settings.url_lifetime))
    else:
        options = StorageOptions(s3=_s3_options(settings))
    with closing(STORAGES[settings.storage](options)) as storage:
        yield storage


def secret_of(settings: Settings) -> str:
    """The service's root secret: the setting, or one generated on first use and kept in the data folder.

    Raises DiskFull, OutputUnwritable.
    """
    if configured := settings.secret.get_secret_value():
        return configured
    path = settings.data_dir / SECRET_FILE
    make_folder(settings.data_dir, PRIVATE_MODE)
    with write_errors(path), suppress(FileExistsError), path.open("x", encoding="ascii") as file:
        os.chmod(path, 0o600)
        file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _s3_options(settings: Settings) -> S3Options:
    return S3Options(
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        endpoint=settings.s3_endpoint,
        public_endpoint=settings.s3_public_endpoint,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        session_token=settings.s3_session_token.get_secret_value(),
        public=settings.s3_public,
        lifetime=settings.url_lifetime,
        encryption=settings.s3_encryption,
        kms_key=settings.s3_kms_key,
        cache_control=settings.s3_cache_control,
    )
