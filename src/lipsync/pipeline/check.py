"""What can be found out before any work."""

from __future__ import annotations

from lipsync.engines import ENGINES, check_choice
from lipsync.engines.base import Engine
from lipsync.errors import OptionInvalid
from lipsync.media.writer import check_output
from lipsync.models.networks import Networks
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Job


def check(job: Job) -> None:
    """Raises OptionInvalid, OutputIsInput, OutputUnwritable, DiskFull."""
    check_choice(job.engines, job.options)
    if job.resize_factor < 1:
        raise OptionInvalid(f"pictures cannot be made {job.resize_factor} times smaller")
    for output in job.outputs:
        check_output(output, (job.face, job.audio), job.encoding)


def open_engines(job: Job, networks: Networks, monitor: Monitor) -> list[Engine]:
    """The job's engines, each new. Raises ModelError, ExtraMissing."""
    return [ENGINES[name](job.options, networks, monitor) for name in job.engines]
