"""Probe a job's inputs."""

from __future__ import annotations

from dataclasses import replace

from lipsync.media.probe import probe, probe_video
from lipsync.pipeline.job import Inputs, Job


def probe_inputs(job: Job, *, video_sha256: str | None = None, audio_sha256: str | None = None) -> Inputs:
    """Probe the job's video and audio once; checksums that are already known travel with them.

    Raises what ``media.probe.probe_video`` raises.
    """
    video = probe_video(job.video, photo_rate=job.photo_rate)
    audio = probe(job.audio)
    return Inputs(replace(video, sha256=video_sha256), replace(audio, sha256=audio_sha256))
