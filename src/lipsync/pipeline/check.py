"""Check a job's output files before any work."""

from __future__ import annotations

from lipsync.media.av_offset import av_offset_paths
from lipsync.media.output import check_output, check_writable
from lipsync.pipeline.job import Job


def check(job: Job) -> None:
    """Raise OptionInvalid, OutputIsInput, OutputUnwritable or DiskFull unless every output can be written.

    Option values are not checked again; ``build_job`` does that.
    """
    for output in {*job.outputs, *job.plain_outputs}:
        check_output(output, job.inputs, job.encoding)
    for output in av_offset_paths(job.outputs, job.offset_copies):
        check_writable(output, job.inputs)
