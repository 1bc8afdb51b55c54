"""The resources and limits of a worker, built from the settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from lipsync.bootstrap import now, open_storage, open_tasks
from lipsync.media.limits import MAX_DECODED_BYTES, MAX_OUTPUT_PIXELS, MediaLimits
from lipsync.models.session_cache import SessionCache
from lipsync.net import Limits, S3Access, Transport
from lipsync.settings import Settings
from lipsync.storage.base import Storage
from lipsync.storage.keys import KeyTemplate
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Status
from lipsync.worker.lease import TimeLimits


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Everything that a worker needs to execute tasks.

    ``worker``: its name, unique to each start. ``work_root``: folder that holds one temporary folder per task.
    ``uploads``: folder of uploaded inputs. ``key_template``: keys of published files. ``models_dir``: folder of
    weights; None: the default one. ``lease_time``: how long a claim stays valid without a heartbeat. ``retry_delay``:
    before the second attempt, doubled for each one after it. ``now``: clock, timezone-aware UTC. ``gpu``: index of the
    GPU whose memory is recorded; None: the first. ``sessions``: inference sessions kept open between tasks.
    ``max_decoded_bytes``, ``max_output_pixels``: see ``media.limits.MediaLimits``. ``max_scratch_bytes``: of
    each temporary file; which is in the task's folder.
    """

    worker: str
    store: TaskStore
    storage: Storage
    work_root: Path
    uploads: Path
    limits: Limits
    transport: Transport
    key_template: KeyTemplate
    models_dir: Path | None
    lease_time: timedelta
    time_limits: TimeLimits
    retry_delay: timedelta
    now: Callable[[], datetime]
    gpu: int | None = None
    max_decoded_bytes: int = MAX_DECODED_BYTES
    max_output_pixels: int = MAX_OUTPUT_PIXELS
    max_scratch_bytes: int | None = None
    sessions: SessionCache = field(default_factory=SessionCache)

    @property
    def media_limits(self) -> MediaLimits:
        """The limits on what jobs decode and make."""
        inputs = self.limits
        return MediaLimits(inputs.max_seconds, inputs.max_pixels, self.max_decoded_bytes, self.max_output_pixels)


@contextmanager
def worker_context(settings: Settings) -> Iterator[WorkerContext]:
    """Open a worker's resources, with the store's schema migrated and the storage checked.

    Raises SettingInvalid, StorageFailed, OutputUnwritable.
    """
    with ExitStack() as stack:
        storage = stack.enter_context(open_storage(settings))
        storage.check()
        yield WorkerContext(
            worker=f"worker-{secrets.token_hex(4)}",  # visible to clients, so it reveals nothing about the machine
            store=stack.enter_context(open_tasks(settings)),
            storage=storage,
            work_root=settings.data_dir / "work",
            uploads=settings.data_dir / "uploads",
            limits=input_limits(settings),
            transport=Transport(s3=_s3_access(settings)),
            key_template=KeyTemplate.parse(settings.result_key_template),
            models_dir=settings.models_dir,
            lease_time=timedelta(seconds=settings.lease_seconds),
            time_limits=time_limits(settings),
            retry_delay=timedelta(seconds=settings.retry_delay_seconds),
            now=now,
            gpu=settings.gpu,
            max_decoded_bytes=settings.max_decoded_bytes,
            max_output_pixels=settings.max_output_pixels,
            max_scratch_bytes=settings.max_scratch_bytes,
            sessions=SessionCache(),
        )


def input_limits(settings: Settings) -> Limits:
    """Limits on the size, duration and origin of inputs. Raises SettingInvalid."""
    return Limits(
        max_bytes=settings.max_input_bytes,
        max_seconds=settings.max_input_seconds,
        max_pixels=settings.max_input_pixels,
        max_redirects=settings.max_input_redirects,
        total_timeout=settings.task_timeout,
        allowed_hosts=settings.input_allowed_hosts,
    )


def time_limits(settings: Settings) -> TimeLimits:
    """Time limits of a whole task and of each running status."""
    limits = {
        Status.DOWNLOADING: settings.download_timeout,
        Status.PROCESSING: settings.processing_timeout,
        Status.ENHANCING: settings.enhancing_timeout,
        Status.UPLOADING: settings.publish_timeout,
    }
    by_status = {status: float(seconds) for status, seconds in limits.items() if seconds is not None}
    return TimeLimits(settings.task_timeout, by_status, settings.kill_grace_seconds)


def _s3_access(settings: Settings) -> S3Access:
    """Access to s3:// inputs, with the credentials of the result bucket where these are set."""
    return S3Access(
        region=settings.s3_region or None,
        endpoint=settings.s3_endpoint or None,
        access_key=settings.s3_access_key.get_secret_value() or None,
        secret_key=settings.s3_secret_key.get_secret_value() or None,
        session_token=settings.s3_session_token.get_secret_value() or None,
        buckets=settings.input_buckets,
    )
