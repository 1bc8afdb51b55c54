"""Probe a job's inputs."""

from __future__ import annotations

from dataclasses import replace

from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.pipeline.job import Inputs, Job


def probe_inputs(
    job: Job,
    *,
    video_sha256: str | None = None,
    audio_sha256: str | None = None,
    reference_sha256: str | None = None,
) -> Inputs:
    """Probe the job's inputs once; checksums that are already known travel with them.

    Raises what ``media.probe.probe_video`` raises, and NoAudioStream for a reference without sound.
    """
    video = probe_video(job.video, photo_rate=job.photo_rate)
    audio = probe(job.audio)
    inputs = Inputs(replace(video, sha256=video_sha256), replace(audio, sha256=audio_sha256))
    if job.reference is None:
        return inputs
    reference = probe_video(job.reference)
    audio_of(reference)
    return replace(inputs, reference=replace(reference, sha256=reference_sha256))
