from __future__ import annotations

import av
import numpy as np
import pytest

from lipsync.errors import AudioClipped, AudioInvalid, AudioTooShort, MediaTruncated
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.speech.audio import SPEECH_RATE, AudioStats
from lipsync.types import Clip


def stats_of(clip: Clip, *, allow_clipped: bool) -> AudioStats:
    with decode_speech(clip, allow_clipped=allow_clipped) as audio:
        return audio.stats


def tone(seconds: float, rate: int, channels: int = 1, level: float = 8000) -> np.ndarray:
    wave = np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate) * level
    return np.repeat(wave[:, None], channels, 1).astype(np.int16)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_any_audio_becomes_mono_at_16_khz(tmp_path, make_audio, rate, channels):
    clip = probe(make_audio(tmp_path / "a.wav", tone(2.5, rate, channels), rate))
    with decode_speech(clip, allow_clipped=False) as audio:
        blocks = list(audio.blocks())
        assert sum(len(b) for b in blocks) == audio.samples
    assert [len(b) for b in blocks[:2]] == [SPEECH_RATE, SPEECH_RATE]
    samples = np.concatenate(blocks)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2.5 * SPEECH_RATE, abs=20)
    crossings = np.count_nonzero(np.diff(np.signbit(samples[1000:-1000])))
    assert crossings / (len(samples) - 2000) * SPEECH_RATE / 2 == pytest.approx(440, abs=2)


def test_decoding_measures_duration_peak_and_clipping(tmp_path, make_audio):
    samples = tone(1, 16_000, level=10_000)
    samples[:100] = 32767
    stats = stats_of(probe(make_audio(tmp_path / "a.wav", samples)), allow_clipped=False)
    assert stats.duration == 1
    assert stats.peak == pytest.approx(1, abs=1e-3)
    assert stats.clipped_share == pytest.approx(100 / 16_000)


def test_the_audio_of_a_video_is_decoded(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "a.mp4", frames=50, audio_samples=96_000))
    assert float(stats_of(clip, allow_clipped=False).duration) == pytest.approx(2, abs=0.03)


def test_ten_milliseconds_are_too_short(tmp_path, make_audio):
    with pytest.raises(AudioTooShort, match="10 ms"):
        stats_of(probe(make_audio(tmp_path / "a.wav", tone(0.01, 16_000))), allow_clipped=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_rejected(tmp_path, make_audio, value):
    samples = np.zeros(32_000, np.float32)
    samples[24_000] = value
    with pytest.raises(AudioInvalid, match=r"at 1\.\d s"):
        stats_of(probe(make_audio(tmp_path / "a.wav", samples)), allow_clipped=True)


def test_badly_clipped_audio_is_rejected_unless_allowed(tmp_path, make_audio):
    square = np.where(np.arange(16_000) % 40 < 20, 32767, -32768).astype(np.int16)
    clip = probe(make_audio(tmp_path / "a.wav", square))
    with pytest.raises(AudioClipped, match="100%"):
        stats_of(clip, allow_clipped=False)
    assert stats_of(clip, allow_clipped=True).clipped_share == 1


def test_a_stream_without_valid_packets_is_rejected(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16_000, layout="mono")
        block = av.AudioFrame.from_ndarray(tone(3, 16_000).T.copy(), "s16", "mono")
        block.sample_rate = 16_000
        out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[start:end] = b"\xff" * (end - start)
    path.write_bytes(content)
    with pytest.raises(MediaTruncated, match="cannot be decoded"):
        stats_of(probe(path), allow_clipped=False)
