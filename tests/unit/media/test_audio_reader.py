from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync.errors import AudioClipped, AudioInvalid, AudioTooShort, MediaTruncated
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.speech.audio import SPEECH_RATE, AudioStats
from lipsync.types import Clip


def check_sound(clip: Clip, *, allow_clipped: bool) -> AudioStats:
    with decode_speech(clip, allow_clipped=allow_clipped) as voice:
        return voice.stats


def tone(seconds: float, rate: int, channels: int = 1, level: float = 8000) -> np.ndarray:
    wave = np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate) * level
    return np.repeat(wave[:, None], channels, 1).astype(np.int16)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_any_sound_becomes_mono_at_16_khz(tmp_path, make_sound, rate, channels):
    clip = probe(make_sound(tmp_path / "a.wav", tone(2.5, rate, channels), rate))
    with decode_speech(clip, allow_clipped=False) as voice:
        blocks = list(voice.blocks())
        assert sum(len(b) for b in blocks) == voice.samples
    assert [len(b) for b in blocks[:2]] == [SPEECH_RATE, SPEECH_RATE]
    sound = np.concatenate(blocks)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(2.5 * SPEECH_RATE, abs=20)
    crossings = np.count_nonzero(np.diff(np.signbit(sound[1000:-1000])))
    assert crossings / (len(sound) - 2000) * SPEECH_RATE / 2 == pytest.approx(440, abs=2)


def test_listening_measures_duration_peak_and_clipping(tmp_path, make_sound):
    samples = tone(1, 16_000, level=10_000)
    samples[:100] = 32767
    heard = check_sound(probe(make_sound(tmp_path / "a.wav", samples)), allow_clipped=False)
    assert heard.duration == 1
    assert heard.peak == pytest.approx(1, abs=1e-3)
    assert heard.clipped_share == pytest.approx(100 / 16_000)


def test_sound_of_a_video(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "a.mp4", frames=50, sound=96_000))
    assert float(check_sound(clip, allow_clipped=False).duration) == pytest.approx(2, abs=0.03)


def test_ten_milliseconds_are_too_short(tmp_path, make_sound):
    with pytest.raises(AudioTooShort, match="10 ms"):
        check_sound(probe(make_sound(tmp_path / "a.wav", tone(0.01, 16_000))), allow_clipped=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number(tmp_path, make_sound, value):
    samples = np.zeros(32_000, np.float32)
    samples[24_000] = value
    with pytest.raises(AudioInvalid, match=r"at 1\.\d s"):
        check_sound(probe(make_sound(tmp_path / "a.wav", samples)), allow_clipped=True)


def test_clipped_beyond_use_unless_allowed(tmp_path, make_sound):
    square = np.where(np.arange(16_000) % 40 < 20, 32767, -32768).astype(np.int16)
    clip = probe(make_sound(tmp_path / "a.wav", square))
    with pytest.raises(AudioClipped, match="100%"):
        check_sound(clip, allow_clipped=False)
    assert check_sound(clip, allow_clipped=True).clipped_share == 1


def test_a_stream_of_rubbish_is_told(tmp_path):
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
        check_sound(probe(path), allow_clipped=False)


def test_reading_can_be_left_at_any_time(tmp_path, make_sound):
    with decode_speech(probe(make_sound(tmp_path / "a.wav", tone(3, 16_000))), allow_clipped=False) as voice:
        blocks = voice.blocks()
        next(blocks)
        blocks.close()
        assert next(blocks, None) is None


@pytest.mark.parametrize("milliseconds", [-250, -40, 0, 40, 1700])
def test_it_can_be_heard_later_or_earlier(tmp_path, make_sound, milliseconds):
    samples = tone(1.5, 16_000)[:, 0]
    with decode_speech(probe(make_sound(tmp_path / "a.wav", samples)), allow_clipped=False) as voice:
        heard = np.concatenate(list(voice.blocks(Fraction(milliseconds, 1000))))
    late = milliseconds * 16
    expected = samples[-late:] if late < 0 else np.pad(samples, (late, 0))
    assert np.allclose(heard * 32768, expected, atol=1)


def test_two_listen_at_once(tmp_path, make_sound):
    with decode_speech(probe(make_sound(tmp_path / "a.wav", tone(3, 16_000))), allow_clipped=False) as voice:
        pairs = list(zip(voice.blocks(), voice.blocks(), strict=True))
    assert len(pairs) == 3
    assert all((one == other).all() for one, other in pairs)
