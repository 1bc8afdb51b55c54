from __future__ import annotations

import os

import pytest

from lipsync.errors import OptionInvalid
from lipsync.media.encoders import check_encoding, encoder_options, family_of, pixel_format_of, quiet_encoder
from lipsync.media.encoding import Encoding


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (Encoding("libx264", 20, "slow"), {"crf": "20", "preset": "slow"}),
        (Encoding("h264_videotoolbox", 17, "slow"), {"flags": "+qscale", "global_quality": str(118 * 66)}),
        (Encoding("h264_qsv", 0, "ultrafast"), {"global_quality": "1", "preset": "veryfast"}),
        (Encoding("hevc_nvenc", 20, "veryslow"), {"preset": "p7"}),
        (Encoding("h264_nvenc", 20, "p4"), {"preset": "p4"}),
        (Encoding("h264_amf", 20, "slow"), {"quality": "quality"}),
    ],
)
def test_quality_and_preset_are_translated(encoding, expected):
    assert encoder_options(encoding).items() >= expected.items()


def test_an_encoder_without_a_profile_keeps_its_defaults():
    assert encoder_options(Encoding("mjpeg", 20, "slow")) == {}


@pytest.mark.parametrize(
    ("codec", "depth", "expected"),
    [("libx264", 8, "yuv420p"), ("libx264", 10, "yuv420p10le"), ("libx265", 10, "yuv420p10le"), ("ffv1", 8, "yuv420p")],
)
def test_the_bit_depth_of_the_source_is_kept(codec, depth, expected):
    assert pixel_format_of(Encoding(codec), depth) == expected
    assert pixel_format_of(Encoding(codec, pixel_format="yuv444p"), depth) == "yuv444p"


def test_a_family_is_the_standard_that_an_encoder_produces():
    assert [family_of(codec) for codec in ("libx264", "libx265", "libsvtav1")] == ["h264", "hevc", "av1"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (Encoding(audio_codec="mp3"), "invalid audio codec 'mp3': expected aac"),
        (Encoding(audio_bitrate=10), "audio bitrate must be at least"),
        (Encoding("nonesuch"), "encoder 'nonesuch' is not available on this machine"),
        (Encoding("aac"), "'aac' is not a video encoder"),
        (Encoding(preset="hasty"), "encoder 'libx264' does not accept these settings: CRF 17, preset hasty"),
    ],
)
def test_an_encoding_that_does_not_work_here_is_refused(encoding, message):
    with pytest.raises(OptionInvalid, match=message):
        check_encoding(encoding)


def test_the_log_level_of_svt_av1_is_set_only_while_it_opens(monkeypatch):
    monkeypatch.delenv("SVT_LOG", raising=False)
    with quiet_encoder("libx264"):
        assert "SVT_LOG" not in os.environ
    with quiet_encoder("libsvtav1"):
        assert os.environ["SVT_LOG"] == "0"
    assert "SVT_LOG" not in os.environ
    monkeypatch.setenv("SVT_LOG", "3")
    with quiet_encoder("libsvtav1"):
        assert os.environ["SVT_LOG"] == "3"
    assert os.environ["SVT_LOG"] == "3"
