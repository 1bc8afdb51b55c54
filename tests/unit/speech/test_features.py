from __future__ import annotations

import numpy as np
import pytest

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.features import BANDS, SILENCE, band_power, features
from lipsync.types import Float32


def voice(seconds: float, seed: int = 0) -> Float32:
    """A buzz with pauses, similar enough to speech in spectrum and rhythm."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 30))
    gate = np.clip(np.sin(2 * np.pi * 2.3 * t + seed) * 3, 0, 1)
    return np.asarray(0.05 * buzz * gate + 1e-4 * rng.standard_normal(len(t)), np.float32)


def cut(audio: Float32, size: int) -> list[Float32]:
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def compute_features(blocks: list[Float32]) -> Float32:
    return np.concatenate(list(features(blocks)))


@pytest.mark.parametrize("size", [37, 160, 1000, 16_000])
def test_the_block_size_does_not_matter(size: int) -> None:
    audio = voice(26)
    np.testing.assert_allclose(compute_features(cut(audio, size)), compute_features([audio]), atol=1e-4)


@pytest.mark.parametrize("samples", [1, 160, 161, 4_800, 48_000])
def test_the_number_of_frames_is_the_duration_in_10_ms_rounded_up(samples: int) -> None:
    assert compute_features([voice(3)[:samples]]).shape == (-(-samples // 160), BANDS)


def test_no_audio_gives_no_frames() -> None:
    assert list(features([])) == []
    assert list(features([np.zeros(0, np.float32)])) == []


@pytest.mark.parametrize("decibels", [-20, -10, 6])
def test_the_level_hardly_matters(decibels: float) -> None:
    audio = voice(4)
    louder = np.asarray(audio * 10 ** (decibels / 20), np.float32)
    assert np.abs(compute_features([louder]) - compute_features([audio])).max() < 0.05


def test_digital_silence_and_dither_are_silent() -> None:
    assert np.allclose(compute_features([np.zeros(SPEECH_RATE, np.float32)]), SILENCE, atol=1e-5)
    dither = np.round(np.random.default_rng(0).uniform(-1, 1, SPEECH_RATE)) / 32768
    quiet = compute_features([np.asarray(dither, np.float32)])
    assert quiet.max() < 1.0
    assert quiet.mean() < 0.0


def test_a_pause_does_not_change_the_features_of_speech_before_it() -> None:
    audio = voice(4)
    paused = np.concatenate([audio, np.zeros(4 * SPEECH_RATE, np.float32)])
    difference = np.abs(compute_features([paused])[:350] - compute_features([audio])[:350])
    assert difference.mean() < 0.05


def test_a_pure_tone_is_in_the_band_around_it() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(SPEECH_RATE) / SPEECH_RATE).astype(np.float32)
    power = np.concatenate(list(band_power([tone]))).mean(0)
    loud = np.flatnonzero(power > power.max() / 10)
    assert len(loud) <= 6
    assert power.argmax() in loud


def test_long_audio_is_read_piece_by_piece() -> None:
    pulled = 0

    def endless() -> object:
        nonlocal pulled
        while True:
            pulled += 1
            yield voice(1)

    stream = features(endless())  # type: ignore[arg-type]
    for _ in range(100):
        next(stream)
    assert pulled < 75
