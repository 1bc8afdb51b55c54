"""Apply a job's frame transform to its video."""

from __future__ import annotations

from dataclasses import replace

from lipsync.engines.base import FrameRules
from lipsync.media.encoders import holds_transparency
from lipsync.media.transform import NO_CROP, transformed
from lipsync.pipeline.job import Job
from lipsync.types import VideoClip


def transform_frames(video: VideoClip, job: Job, rules: FrameRules) -> VideoClip:
    """Return the video as read with the job's background, downscaling, rotation and crop. Raises OptionInvalid."""
    kept = all(holds_transparency(job.encoding, output.suffix.lower()) for output in job.outputs)
    video = replace(video, background=None if kept else job.background)
    return transformed(video, resize_factor=job.resize_factor, rotated=job.rotate, crop=job.crop, nearest=rules.nearest)


def without_photo_transform(job: Job, video: VideoClip, rules: FrameRules) -> Job:
    """Return the job without its frame transform if the video is a photo and the engines use photos as they are."""
    if video.still and not rules.transforms_photos:
        return replace(job, resize_factor=1, rotate=False, crop=NO_CROP)
    return job
