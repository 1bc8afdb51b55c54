"""Limits on the duration and the frame size of inputs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import InputTooLarge, SettingInvalid
from lipsync.media.probe import probe
from lipsync.net import Limits, check_media
from lipsync.types import AudioInfo, Clip


def test_a_video_within_its_limits_passes(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "v.mp4", frames=25))
    check_media(clip, Limits(max_seconds=1.0, max_pixels=192 * 96))


def test_a_video_that_is_too_long_or_too_large_is_refused(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "v.mp4", frames=26))
    with pytest.raises(InputTooLarge, match=r"1\.0 s long; the limit is 1 s \(LIPSYNC_MAX_INPUT_SECONDS\)"):
        check_media(clip, Limits(max_seconds=1.0))
    with pytest.raises(
        InputTooLarge, match=r"192x96 has 18432 pixels; the limit is 18431 \(LIPSYNC_MAX_INPUT_PIXELS\)"
    ):
        check_media(clip, Limits(max_pixels=192 * 96 - 1))


def test_audio_has_a_limit_too():
    audio = Clip(Path("a.wav"), "wav", None, AudioInfo("pcm_s16le", 16_000, 1, "mono", Fraction(5)))
    check_media(audio, Limits(max_seconds=5))
    with pytest.raises(InputTooLarge, match="MAX_INPUT_SECONDS"):
        check_media(audio, Limits(max_seconds=4.9))


def test_a_photo_has_no_duration(tmp_path, save_photo):
    clip = probe(save_photo(tmp_path / "p.png", np.zeros((64, 64, 3), np.uint8)), photo_rate=Fraction(1, 100))
    check_media(clip, Limits(max_seconds=1.0))
    with pytest.raises(InputTooLarge, match="MAX_INPUT_PIXELS"):
        check_media(clip, Limits(max_pixels=4095))


def test_an_invalid_network_is_rejected():
    with pytest.raises(SettingInvalid, match="INPUT_ALLOWED_HOSTS"):
        Limits(allowed_hosts=("10.0.0.0/99",))
    Limits(allowed_hosts=("10.0.0.0/8", "films.test", "::1", "fd00::/8"))
