from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.speech.silence import FADE_SECONDS, SPEECH_MARGIN_SECONDS, silence


def speech(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30))
    return (0.1 * buzz * (1.2 + np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    return (1e-5 * np.random.default_rng(0).standard_normal(round(seconds * 16_000))).astype(np.float32)


def blocks(*parts: np.ndarray):
    whole = np.concatenate(parts)
    return iter(np.array_split(whole, 1 + len(whole) // 9_999))


@pytest.mark.parametrize("level", [1.0, 0.02])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30_000, 1001)])
def test_pauses_are_silent_and_speech_is_not_at_any_level(level, rate):
    frames = round(6 * rate)
    share = silence(blocks(level * speech(2), level * quiet(2), level * speech(2)), rate, frames)
    time = np.arange(frames) / float(rate)
    assert share.shape == (frames,)
    assert (share[(time < 1.95) | (time > 4.05)] == 0).all()
    calm = (time > 2 + SPEECH_MARGIN_SECONDS + 2 * FADE_SECONDS + 0.05) & (
        time < 4 - SPEECH_MARGIN_SECONDS - 2 * FADE_SECONDS - 0.05
    )
    assert calm.sum() > 20
    assert (share[calm] == 1).all()


def test_silence_fades_in_and_out():
    share = silence(blocks(speech(1), quiet(2)), Fraction(100), 300)
    assert (np.diff(share[90:290]) >= -1e-6).all()
    assert np.diff(share[90:290]).max() < 0.1


@pytest.mark.parametrize("decibels", [-50, -40, -35])
def test_steady_noise_in_a_pause_counts_as_silence(decibels):
    dice, voice = np.random.default_rng(1), speech(2)
    noise = 10 ** (decibels / 20) * np.sqrt((voice**2).mean()) * dice.standard_normal(6 * 16_000)
    share = silence(
        blocks(np.concatenate([voice, np.zeros(32_000), voice]) + noise.astype(np.float32)), Fraction(25), 150
    )
    assert (share[62:88] > 0.9).all()
    assert (share[:45] == 0).all()
    assert (share[106:145] == 0).all()


def test_empty_audio_and_the_time_after_its_end_are_silent():
    assert (silence(blocks(np.zeros(32_000, np.float32)), Fraction(25), 50) == 1).all()
    assert (silence(iter([]), Fraction(25), 50) == 1).all()
    share = silence(blocks(speech(1)), Fraction(25), 75)
    assert (share[40:] == 1).all()


def test_a_short_stop_within_speech_is_not_silence():
    assert (silence(blocks(speech(1), quiet(0.2), speech(1)), Fraction(25), 55) == 0).all()
