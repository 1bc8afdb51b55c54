"""Probe a job's inputs, and put the picture and the sound of one file on one clock."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Final

from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.pipeline.job import Inputs, Job
from lipsync.types import Clip, VideoClip

TIMING_ERROR: Final = Fraction(1, 10)  # frames; containers round times to milliseconds


def probe_inputs(
    job: Job,
    *,
    video_sha256: str | None = None,
    audio_sha256: str | None = None,
    reference_sha256: str | None = None,
) -> Inputs:
    """Probe the job's inputs once; checksums that are already known travel with them.

    Raises what ``media.probe.probe_video`` raises, NoAudioStream for a reference without sound, and InputTooLarge also
    for a result that would be too large.
    """
    video = probe_video(job.video, photo_rate=job.photo_rate, limits=job.limits)
    _check_result(video, job)
    audio = probe(job.audio, limits=job.limits, allow_truncated=job.allow_truncated)
    video, audio = replace(video, sha256=video_sha256), replace(audio, sha256=audio_sha256)
    inputs = Inputs(*synchronised(video, audio)) if _is_same_file(video, audio) else Inputs(video, audio)
    if job.reference is None:
        return inputs
    reference = probe_video(job.reference, limits=job.limits)
    audio_of(reference)
    return replace(inputs, reference=replace(reference, sha256=reference_sha256))


def _check_result(video: VideoClip, job: Job) -> None:
    """Raise InputTooLarge if the result would be too large, before any work on it."""
    divisor = 1 if video.still else job.resize_factor
    factor = 1 if job.enhancement is None else job.enhancement.factor
    width, height = (side // divisor * factor for side in (video.video.width, video.video.height))
    job.limits.check_output(video.path, (width, height))


def synchronised(video: VideoClip, audio: Clip) -> tuple[VideoClip, Clip]:
    """Let the picture and the sound of one recording begin at the same time of its clock.

    If the sound begins first, the first frame is shown from then on, in whole frames. A remainder of less than a frame
    is cut from the sound.
    """
    info = video.video
    if video.still or audio.audio is None:
        return video, audio
    held = max(0, floor((info.start - audio.audio.start) * info.rate + TIMING_ERROR))
    start, count = info.start - held / info.rate, info.frame_count + held
    longer = replace(info, start=start, frame_count=count, duration=count / info.rate)
    return replace(video, video=longer), replace(audio, audio=replace(audio.audio, start=start))


def _is_same_file(video: Clip, audio: Clip) -> bool:
    return video.path.samefile(audio.path) or (video.sha256 is not None and video.sha256 == audio.sha256)
