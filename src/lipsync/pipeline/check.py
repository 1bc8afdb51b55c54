"""What can be found out before any work."""

from __future__ import annotations

from lipsync.engines import ENGINES, check_choice
from lipsync.engines.base import Engine
from lipsync.enhancers import check_enhancer
from lipsync.errors import OptionInvalid
from lipsync.media.av_offset import av_offset_paths, check_offset
from lipsync.media.writer import check_output, check_place
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Enhancement, Job


def check(job: Job) -> None:
    """Raises OptionInvalid, OutputIsInput, OutputUnwritable, DiskFull."""
    check_choice(job.engines, job.options)
    if job.resize_factor < 1:
        raise OptionInvalid(f"pictures cannot be made {job.resize_factor} times smaller")
    if not 0 <= job.detail <= 1:
        raise OptionInvalid(f"a detail of {job.detail} is not between 0 and 1")
    if job.enhancement is not None:
        check_enhancement(job.enhancement)
    for offset in job.offset_copies:
        check_offset(offset)
    for output in {*job.outputs, *job.plain_outputs}:
        check_output(output, (job.video, job.audio), job.encoding)
    for output in av_offset_paths(job.outputs, job.offset_copies):
        check_place(output, (job.video, job.audio))


def check_enhancement(wish: Enhancement) -> None:
    """Raises OptionInvalid."""
    check_enhancer(wish.restorer, None if wish.upscaler is None else (wish.factor, wish.upscaler), wish.options)


def open_engines(job: Job, sessions: SessionCache, monitor: Monitor) -> list[Engine]:
    """The job's engines, each new. Raises ModelError, ExtraMissing."""
    return [ENGINES[name](job.options, sessions, monitor) for name in job.engines]
