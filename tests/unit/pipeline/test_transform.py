from __future__ import annotations

from dataclasses import replace

import numpy as np

from lipsync.engines.base import FrameRules
from lipsync.engines.wav2lip.original import OriginalWav2Lip
from lipsync.media.probe import probe_video
from lipsync.pipeline.job import Job
from lipsync.pipeline.transform import transform_frames, without_photo_transform


def test_engines_decide_how_frames_are_downscaled(tmp_path, make_video):
    video = probe_video(make_video(tmp_path / "a.mp4", frames=1))
    job = Job(video.path, video.path, tmp_path / "c.mp4", resize_factor=2)
    assert not transform_frames(video, job, FrameRules()).transform.nearest
    assert transform_frames(video, job, OriginalWav2Lip.frame_rules).transform.nearest


def test_only_photos_are_exempt_from_the_transform(tmp_path, make_video, save_photo):
    video = probe_video(make_video(tmp_path / "a.mp4", frames=2))
    photo = probe_video(save_photo(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8)))
    job = Job(video.path, video.path, tmp_path / "c.mp4", resize_factor=2, rotate=True, crop=(0, 32, 0, -1))
    rules = OriginalWav2Lip.frame_rules
    assert without_photo_transform(job, photo, rules) == replace(
        job, resize_factor=1, rotate=False, crop=(0, -1, 0, -1)
    )
    assert without_photo_transform(job, video, rules) is job
    assert without_photo_transform(job, photo, FrameRules()) is job
