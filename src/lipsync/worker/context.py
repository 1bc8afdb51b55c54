"""Everything that a worker needs, from the settings; what is missing is told before it starts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta

from lipsync.files import make_folder, write_errors
from lipsync.models.session_cache import SessionCache
from lipsync.net import Limits, S3Access, Transport
from lipsync.settings import Settings
from lipsync.storage import STORAGES
from lipsync.storage.base import LocalOptions, S3Options, Storage, StorageOptions
from lipsync.storage.keys import KeyTemplate
from lipsync.tasks.database import ANSWER
from lipsync.tasks.secrets import link_secret
from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.task import Status
from lipsync.tasks.webhooks import body_of
from lipsync.worker.execute import WorkerContext
from lipsync.worker.lease import TimeLimits

SECRET_FILE = "secret"
PRIVATE = 0o700


@contextmanager
def worker_context(settings: Settings) -> Iterator[WorkerContext]:
    """The store brought up to date, the storage tried out, the rest as the settings have it.

    Raises SettingInvalid, StorageFailed, OutputUnwritable.
    """
    with ExitStack() as stack:
        storage = stack.enter_context(open_storage(settings))
        storage.check()
        yield WorkerContext(
            worker=f"worker-{secrets.token_hex(4)}",  # clients see it, so nothing of this machine is in it
            store=stack.enter_context(open_tasks(settings)),
            storage=storage,
            folder=settings.data_dir / "work",
            uploads=settings.data_dir / "uploads",
            limits=limits_of(settings),
            transport=Transport(s3=_s3_inputs(settings)),
            keys=KeyTemplate.parse(settings.result_key_template),
            models=settings.models_dir,
            lease=timedelta(seconds=settings.lease_seconds),
            times=times_of(settings),
            pause=timedelta(seconds=settings.retry_delay_seconds),
            now=now,
            gpu=settings.gpu,
            sessions=SessionCache(),
        )


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


@contextmanager
def open_tasks(settings: Settings) -> Iterator[TaskStore]:
    """The store of tasks, brought up to date. Raises SettingInvalid, StorageFailed, OutputUnwritable."""
    make_folder(settings.data_dir, PRIVATE)
    migrate(settings.database)
    answer = min(ANSWER, settings.lease_seconds / 4)  # a store that hangs must not cost the lease
    with open_store(settings.database, notify=body_of, answer=answer) as store:
        yield store


@contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """The place of results. Raises SettingInvalid, StorageFailed, OutputUnwritable."""
    if settings.storage == "local":
        folder = settings.storage_folder or settings.data_dir / "results"
        make_folder(folder, PRIVATE)
        secret = link_secret(secret_of(settings))
        options = StorageOptions(local=LocalOptions(folder, settings.address, secret, settings.url_lifetime))
    else:
        s3 = S3Options(
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
        options = StorageOptions(s3=s3)
    with closing(STORAGES[settings.storage](options)) as storage:
        yield storage


def limits_of(settings: Settings) -> Limits:
    """How much may come in, and from where. Raises SettingInvalid."""
    return Limits(
        most_bytes=settings.max_input_bytes,
        most_seconds=settings.max_input_seconds,
        most_pixels=settings.max_input_pixels,
        most_redirects=settings.max_input_redirects,
        most_seconds_in_all=settings.task_timeout,
        allowed_hosts=settings.input_allowed_hosts,
    )


def times_of(settings: Settings) -> TimeLimits:
    """How long a task and each of its stages may take."""
    stages = {
        Status.DOWNLOADING: settings.download_timeout,
        Status.PROCESSING: settings.processing_timeout,
        Status.ENHANCING: settings.enhancing_timeout,
        Status.UPLOADING: settings.publish_timeout,
    }
    limits = {stage: float(most) for stage, most in stages.items() if most is not None}
    return TimeLimits(settings.task_timeout, limits, settings.kill_grace_seconds)


def secret_of(settings: Settings) -> str:
    """The service's own, of which those that sign are made: the setting, or what was made once, in the data folder."""
    if told := settings.secret.get_secret_value():
        return told
    path = settings.data_dir / SECRET_FILE
    make_folder(settings.data_dir, PRIVATE)
    with write_errors(path), suppress(FileExistsError), path.open("x", encoding="ascii") as file:
        os.chmod(path, 0o600)
        file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _s3_inputs(settings: Settings) -> S3Access:
    """How inputs at s3:// are read: with the keys of the results' bucket, where those are set."""
    return S3Access(
        region=settings.s3_region or None,
        endpoint=settings.s3_endpoint or None,
        access_key=settings.s3_access_key.get_secret_value() or None,
        secret_key=settings.s3_secret_key.get_secret_value() or None,
        session_token=settings.s3_session_token.get_secret_value() or None,
        buckets=settings.input_buckets,
    )
