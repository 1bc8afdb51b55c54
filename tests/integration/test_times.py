"""Picture and sound of one recording stay together, whatever its container, codecs, layout and times."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import lipsync
from lipsync.media.probe import probe_video
from lipsync.media.reader import read

SYNC = 0.020  # seconds between a flash and its click
WRAP = Fraction(2**33, 90_000)  # seconds after which the clock of a transport stream starts again
FRAGMENTS = {"movflags": "frag_keyframe+delay_moov"}
COPY_TIMES = {"mpegts_copyts": "1"}
VP8 = {"codec": "libvpx", "audio_codec": "libopus"}

RECORDINGS = [
    ("a.mp4", {}),
    ("a.mp4", {"codec": "libx264", "layout": "stereo", "audio_rate": 44_100}),
    ("a.mp4", {"rate": Fraction(30000, 1001), "layout": "5.1"}),
    ("a.mp4", {"audio_codec": "libopus"}),
    ("a.mp4", {"audio_codec": "libmp3lame", "audio_rate": 44_100}),
    ("a.mp4", {"audio_start": 0.3}),
    ("a.mp4", {"video_start": 0.32}),
    ("a.mp4", {"audio_start": 0.1, "video_start": 0.32}),
    ("a.mp4", {"hole": (0.9, 1.3)}),
    ("a.mp4", {"options": FRAGMENTS, "base": Fraction(3600)}),
    ("a.mov", {"audio_codec": "pcm_s16le"}),
    ("a.mov", {"audio_start": 0.3, "audio_codec": "libmp3lame", "audio_rate": 44_100}),
    ("a.mkv", {"audio_codec": "flac", "layout": "7.1"}),
    ("a.mkv", {"audio_codec": "ac3", "layout": "5.1", "audio_start": 0.3}),
    ("a.mkv", {"video_start": 0.32, "base": Fraction(7200)}),
    ("a.mkv", {"hole": (0.9, 1.5), "audio_codec": "libopus"}),
    ("a.webm", VP8),
    ("a.webm", VP8 | {"audio_start": 0.3, "hole": (2.0, 2.4)}),
    ("a.webm", VP8 | {"video_start": 0.32, "layout": "stereo"}),
    ("a.ts", {}),
    ("a.ts", {"audio_start": 0.3, "codec": "libx264"}),
    ("a.ts", {"audio_codec": "ac3", "hole": (0.9, 1.3)}),
    ("a.ts", {"base": WRAP - 1, "options": COPY_TIMES}),
    ("a.ts", {"base": WRAP - 1000, "options": COPY_TIMES, "video_start": 0.32}),
    ("a.flv", {"codec": "flv1", "audio_rate": 44_100}),
    ("a.flv", {"codec": "flv1", "audio_start": 0.3, "audio_rate": 44_100}),
    ("a.avi", {"audio_codec": "pcm_s16le", "layout": "stereo"}),
]


@pytest.mark.parametrize(("name", "fields"), RECORDINGS, ids=lambda value: str(value))
def test_a_recording_keeps_its_times(tmp_path, make_recording, events_of, name, fields):
    source = make_recording(tmp_path / name, **fields)
    result = lipsync.sync(source, source, tmp_path / "out.mp4", engine="passthrough")
    frame = float(1 / result.rate)
    events = events_of(tmp_path / "out.mp4")
    begins = min(fields.get("audio_start", 0.0), fields.get("video_start", 0.0))
    expected = np.array([0.4, 1.6, 2.8]) - begins
    assert events.flashes == pytest.approx(expected, abs=frame)
    assert events.clicks == pytest.approx(events.flashes, abs=SYNC)
    for length in (result.duration, result.frames / result.rate, events.picture, events.sound):
        assert float(length) == pytest.approx(3.2 - begins, abs=frame)


VOICES = [
    ("a.wav", "pcm_s16le", 44_100),
    ("a.flac", "flac", 44_100),
    ("a.mp3", "libmp3lame", 44_100),
    ("a.m4a", "aac", 44_100),
    ("a.m4a", "aac", 48_000),
    ("a.mp4", "libopus", 48_000),
    ("a.mov", "aac", 48_000),
    ("a.aac", "aac", 48_000),
    ("a.aac", "aac", 44_100),
    ("a.mka", "aac", 44_100),
    ("a.mka", "libmp3lame", 44_100),
    ("a.ts", "aac", 44_100),
    ("a.ts", "libopus", 48_000),
    ("a.flv", "aac", 44_100),
    ("a.ogg", "libopus", 48_000),
    ("a.webm", "libopus", 48_000),
]


@pytest.mark.parametrize(("seconds", "start"), [(1, 0.0), (3, 0.4)])
@pytest.mark.parametrize(("name", "codec", "rate"), VOICES)
def test_padding_never_makes_frames(tmp_path, make_recording, save_photo, name, codec, rate, seconds, start):
    voice = tmp_path / name
    make_recording(voice, codec="", audio_codec=codec, audio_rate=rate, seconds=seconds, base=Fraction(start))
    photo = save_photo(tmp_path / "photo.png", np.full((64, 96, 3), 90, np.uint8))
    result = lipsync.sync(photo, voice, tmp_path / "out.mp4", engine="passthrough")
    silence = start if name in ("a.m4a", "a.mp4", "a.mov", "a.mka", "a.webm") else 0
    assert result.frames == round((seconds + silence) * 25)
    assert float(result.duration) == pytest.approx(seconds + silence, abs=0.03)


def test_joined_transport_streams_give_all_frames(tmp_path, make_recording, events_of):
    one = make_recording(tmp_path / "one.ts").read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one * 3)
    result = lipsync.sync(joined, joined, tmp_path / "out.mp4", engine="passthrough")
    assert result.frames == 240
    events = events_of(tmp_path / "out.mp4")
    assert events.flashes == pytest.approx([k * 3.2 + time for k in range(3) for time in (0.4, 1.6, 2.8)], abs=0.001)
    assert events.clicks == pytest.approx(events.flashes, abs=SYNC)


@pytest.mark.parametrize("fields", [{}, {"audio_codec": ""}, VP8])
def test_joined_recordings_can_be_read_from_any_frame(tmp_path, make_recording, fields):
    suffix = "webm" if fields is VP8 else "ts"
    one = make_recording(tmp_path / f"one.{suffix}", **fields).read_bytes()
    (tmp_path / f"joined.{suffix}").write_bytes(one * 2)
    clip = probe_video(tmp_path / f"joined.{suffix}")
    bright = [frame.index for frame in read(clip) if frame.y.mean() > 120]
    assert bright == [10, 40, 70, 90, 120, 150]
    assert [frame.index for frame in read(clip, start=60) if frame.y.mean() > 120] == bright[2:]
