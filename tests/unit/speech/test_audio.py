from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from lipsync.speech.audio import SPEECH_RATE, AudioStats, SpeechAudio


def audio_of(samples: np.ndarray) -> SpeechAudio:
    stats = AudioStats(Fraction(len(samples), SPEECH_RATE), 1.0, 0.0)
    return SpeechAudio(io.BytesIO(samples.astype(np.float32).tobytes()), stats, len(samples))


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, 24_000).astype(np.float32)


def test_reading_can_be_stopped_at_any_time(samples):
    blocks = audio_of(samples).blocks()
    next(blocks)
    blocks.close()
    assert next(blocks, None) is None


@pytest.mark.parametrize("milliseconds", [-250, -40, 0, 40, 1700])
def test_blocks_can_be_delayed_or_advanced(samples, milliseconds):
    delayed = np.concatenate(list(audio_of(samples).blocks(Fraction(milliseconds, 1000))))
    delay = milliseconds * 16
    expected = samples[-delay:] if delay < 0 else np.pad(samples, (delay, 0))
    assert np.array_equal(delayed, expected)


def test_two_readers_can_share_it(samples):
    audio = audio_of(np.tile(samples, 2))
    pairs = list(zip(audio.blocks(), audio.blocks(), strict=True))
    assert len(pairs) == 3
    assert all((one == other).all() for one, other in pairs)
