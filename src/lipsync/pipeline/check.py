"""Checks of a job's files before any work."""

from __future__ import annotations

from lipsync.engines import ENGINES
from lipsync.engines.base import Engine
from lipsync.media.av_offset import av_offset_paths
from lipsync.media.output import check_output, check_writable
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Job


def check(job: Job) -> None:
    """Raise OptionInvalid, OutputIsInput, OutputUnwritable or DiskFull unless every output can be written.

    Option values are not checked again; ``build_job`` does that.
    """
    for output in {*job.outputs, *job.plain_outputs}:
        check_output(output, (job.video, job.audio), job.encoding)
    for output in av_offset_paths(job.outputs, job.offset_copies):
        check_writable(output, (job.video, job.audio))


def open_engines(job: Job, sessions: SessionCache, monitor: Monitor) -> list[Engine]:
    """Open the job's engines. Raises ModelError, ExtraMissing."""
    return [ENGINES[name](job.options, sessions, monitor) for name in job.engines]
