from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from lipsync.models.session import Array
from lipsync.models.session_cache import SessionCache
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.encoder import FEATURES, OVERLAP, WINDOW, SpeechEncoder, encoder_checksum, open_encoder
from lipsync.types import Float32


def buzz(seconds: float, seed: int = 0) -> Float32:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    formant = 500 + 300 * np.sin(2 * np.pi * 1.7 * t + seed)
    sound = sum(np.sin(2 * np.pi * 110 * k * t) / (1 + ((110 * k - formant) / 150) ** 2) for k in range(1, 25))
    gate = np.clip(np.sin(2 * np.pi * 4 * t) + 0.3, 0, 1)
    return np.asarray(0.05 * sound * gate + 1e-4 * rng.standard_normal(len(t)), np.float32)


def rows(encoder: SpeechEncoder, audio: Float32, size: int = SPEECH_RATE) -> Float32:
    return np.concatenate(list(encoder.rows(audio[start : start + size] for start in range(0, len(audio), size))))


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return open_encoder(SessionCache())


class Loudness:
    """A session whose rows are the mean of their two log-mel frames; it remembers the number of its runs."""

    device, precision = "cpu", "fp32"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self.runs += 1
        loudness = inputs[0].reshape(80, WINDOW, 2).mean((0, 2))
        return [np.repeat(loudness[None, :, None], FEATURES, 2).astype(np.float32)]


@pytest.mark.parametrize("samples", [1, 320, 321, 80_000, 88_000, 88_001, 184_321])
def test_every_50th_of_a_second_gets_a_row(samples: int) -> None:
    assert rows(SpeechEncoder(Loudness()), buzz(12)[:samples]).shape == (-(-samples // 320), FEATURES)


def test_no_sound_gives_no_rows() -> None:
    assert list(SpeechEncoder(Loudness()).rows([])) == []


@pytest.mark.parametrize("size", [431, 7_777, 320_000])
def test_the_block_size_changes_nothing(encoder: SpeechEncoder, size: int) -> None:
    audio = buzz(13)
    np.testing.assert_array_equal(rows(encoder, audio, size), rows(encoder, audio))


def test_windows_join_where_they_overlap(encoder: SpeechEncoder) -> None:
    audio = buzz(14)
    joined = rows(encoder, audio)
    shift = WINDOW - 2 * OVERLAP
    later = rows(encoder, audio[320 * shift :])
    inner = slice(OVERLAP, WINDOW - OVERLAP)
    error = np.abs(joined[shift:][inner] - later[inner]).mean()
    assert error < 0.2 * np.abs(joined - joined.mean(0)).mean()


def test_a_quieter_voice_gives_the_same_rows(encoder: SpeechEncoder) -> None:
    audio = buzz(5)
    np.testing.assert_allclose(rows(encoder, np.asarray(0.1 * audio, np.float32)), rows(encoder, audio), atol=5e-2)


def test_different_vowels_give_different_rows(encoder: SpeechEncoder) -> None:
    one, other = rows(encoder, buzz(3)), rows(encoder, buzz(3, 2))
    assert np.abs(one - other).mean() > 0.1 * np.abs(one - one.mean(0)).mean()


def test_sound_is_read_only_as_far_as_needed(encoder: SpeechEncoder) -> None:
    pulled = 0

    def endless() -> Iterator[Float32]:
        nonlocal pulled
        while True:
            pulled += 1
            yield buzz(1)

    next(encoder.rows(endless()))
    assert pulled < 25


def test_memory_does_not_grow_with_the_length() -> None:
    def peak(seconds: int) -> int:
        second = buzz(1)
        tracemalloc.start()
        for _ in SpeechEncoder(Loudness()).rows(second for _ in range(seconds)):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(120) < 1.2 * peak(40)


def test_the_checksum_names_the_bundled_file() -> None:
    assert len(encoder_checksum()) == 64
