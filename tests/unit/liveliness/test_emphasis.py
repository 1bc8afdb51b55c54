from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsync.liveliness.emphasis import emphasis

RATE = Fraction(25)


def voice(levels: np.ndarray) -> np.ndarray:
    """Noise whose level changes every 20 ms."""
    noise = np.random.default_rng(0).normal(0, 1, len(levels) * 320)
    return (noise * np.repeat(levels, 320)).astype(np.float32)


def test_a_stressed_syllable_stands_out():
    levels = np.full(200, 0.02)
    levels[90:110] = 0.2
    values = emphasis([voice(levels)], RATE)
    assert len(values) == 100
    assert abs(int(values.argmax()) - 50) <= 1
    assert values.max() > 0.3
    assert np.abs(values[:20]).max() < 0.2


def test_silence_and_steady_sound_have_no_emphasis():
    assert np.abs(emphasis([np.zeros(48_000, np.float32)], RATE)).max() < 1e-5
    assert np.abs(emphasis([voice(np.full(200, 0.1))], RATE)).max() < 0.1
    assert len(emphasis([], RATE)) == 0


def test_blocks_of_any_size_give_the_same_values():
    levels = np.abs(np.random.default_rng(1).normal(0, 0.1, 300))
    samples = voice(levels)
    parts = [samples[k : k + 999] for k in range(0, len(samples), 999)]
    assert np.array_equal(emphasis([samples], RATE), emphasis(parts, RATE))


def test_the_values_are_smooth_and_bounded():
    levels = np.where(np.random.default_rng(2).random(600) > 0.5, 0.5, 0.0)
    values = emphasis([voice(levels)], RATE)
    assert np.abs(values).max() <= 1
    assert np.abs(np.diff(values, 2)).max() < 0.1
