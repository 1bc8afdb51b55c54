from __future__ import annotations

import numpy as np
import pytest

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.logmel import BANDS, SILENCE, VOICE, log_mel, mel_filters, rechunk
from lipsync.types import Float32


def voice(seconds: float, seed: int = 0) -> Float32:
    """A buzz with pauses, similar enough to speech in spectrum and rhythm."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 30))
    gate = np.clip(np.sin(2 * np.pi * 2.3 * t + seed) * 3, 0, 1)
    return np.asarray(0.05 * buzz * gate + 1e-4 * rng.standard_normal(len(t)), np.float32)


def frames(*blocks: Float32) -> Float32:
    return np.concatenate(list(log_mel(blocks)))


@pytest.mark.parametrize("size", [37, 160, 8_000, 9_001])
def test_the_block_size_changes_nothing(size: int) -> None:
    audio = voice(26)
    cut = [audio[start : start + size] for start in range(0, len(audio), size)]
    np.testing.assert_array_equal(frames(*cut), frames(audio))


@pytest.mark.parametrize("samples", [1, 160, 161, 4_800, 8_000, 48_001])
def test_the_number_of_frames_is_the_duration_in_10_ms_rounded_up(samples: int) -> None:
    assert frames(voice(4)[:samples]).shape == (-(-samples // 160), BANDS)


def test_no_audio_gives_no_frames() -> None:
    assert list(log_mel([])) == []
    assert list(log_mel([np.zeros(0, np.float32)])) == []


@pytest.mark.parametrize("decibels", [-20, -6, 6])
def test_the_level_does_not_matter(decibels: float) -> None:
    audio = voice(4)
    louder = np.asarray(audio * 10 ** (decibels / 20), np.float32)
    np.testing.assert_allclose(frames(louder), frames(audio), atol=1e-3)


def test_digital_silence_has_the_lowest_value_and_dither_is_not_amplified_to_a_voice() -> None:
    np.testing.assert_allclose(frames(np.zeros(SPEECH_RATE, np.float32)), SILENCE, atol=1e-6)
    dither = np.round(np.random.default_rng(0).uniform(-1, 1, SPEECH_RATE)) / 32768
    assert frames(np.asarray(dither, np.float32)).max() < (VOICE + 4) / 4


def test_frames_are_centred_on_multiples_of_10_ms() -> None:
    click = np.zeros(SPEECH_RATE, np.float32)
    click[50 * 160] = 0.5
    loudest = frames(click).mean(1)
    assert loudest.argmax() == 50
    assert loudest[49] == pytest.approx(loudest[51], abs=0.05)


def test_a_pause_of_ten_seconds_does_not_change_the_frames_of_speech_before_it() -> None:
    audio = voice(4)
    paused = frames(np.concatenate([audio, np.zeros(10 * SPEECH_RATE, np.float32)]))
    np.testing.assert_allclose(paused[:390], frames(audio)[:390], atol=2e-2)


def test_a_tone_is_loudest_in_the_band_of_its_frequency() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(SPEECH_RATE) / SPEECH_RATE)
    loudest = frames(np.asarray(0.1 * tone, np.float32))[50].argmax()
    assert mel_filters()[25, loudest] == mel_filters()[25].max()  # bin 25 is 1 kHz


def test_arrays_are_cut_into_equal_lengths() -> None:
    pieces = [np.arange(start, stop, dtype=np.float32) for start, stop in ((0, 3), (3, 3), (3, 14), (14, 15))]
    cut = list(rechunk(pieces, 4))
    assert [len(piece) for piece in cut] == [4, 4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(cut), np.arange(15))
