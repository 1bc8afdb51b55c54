from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines.wav2lip.mel import mel_columns, mel_windows, original_starts, trained_starts

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "golden.npz"


def recording(count: int) -> np.ndarray:
    time = np.arange(count) / 16_000
    return (0.3 * np.sin(2 * np.pi * 220 * time) + 0.02 * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)


def columns(*blocks: np.ndarray) -> np.ndarray:
    return np.concatenate(list(mel_columns(blocks)), axis=1)


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs reference results of the original")
def test_the_spectrogram_matches_the_originals():
    with np.load(GOLDEN) as golden:
        ours = columns(golden["wav"].astype(np.float32))
        assert ours.shape == golden["wav_mel"].shape
        assert np.abs(ours - golden["wav_mel"]).max() <= 2e-3


@pytest.mark.parametrize("count", [401, 799, 800, 801, 3200, 16_000, 16_001, 16_199, 16_200])
def test_the_number_of_columns_is_one_more_than_the_hops(count):
    result = columns(recording(count))
    assert result.shape == (80, 1 + count // 200)
    assert result.dtype == np.float32
    assert (np.abs(result) <= 4).all()


@pytest.mark.parametrize("cut", [1, 7, 160, 400, 401, 1000, 5000])
def test_the_block_size_does_not_matter(cut):
    wave = recording(12_345)
    parts = [wave[k : k + cut] for k in range(0, len(wave), cut)]
    assert np.allclose(columns(*parts), columns(wave), atol=1e-5)


def slaney(mel: float) -> float:
    """Hertz for a mel: 3 mels are 200 Hz up to 1000 Hz, then 27 mels are a factor of 6.4."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def test_a_column_follows_the_definition():
    """Compute a column in the middle, band by band and bin by bin."""
    wave = recording(8000).astype(np.float64)
    emphasised = np.concatenate([wave[:1], wave[1:] - 0.97 * wave[:-1]])
    piece = emphasised[4000 - 400 : 4000 + 400] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800))
    amplitude = np.abs(np.fft.rfft(piece))
    top = 15 + 27 * np.log(7.6) / np.log(6.4)
    edges = [slaney(mel) for mel in np.linspace(55 * 3 / 200, top, 82)]
    expected = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        power = 0.0
        for bin_, value in enumerate(amplitude):
            share = min((bin_ * 20 - low) / (middle - low), (high - bin_ * 20) / (high - middle))
            power += max(0.0, share) * 2 / (high - low) * value
        decibels = 20 * np.log10(max(1e-5, power)) - 20
        expected.append(min(4, max(-4, 8 * (decibels + 100) / 100 - 4)))
    assert np.allclose(columns(recording(8000))[:, 20], expected, atol=1e-3)


def test_silence_is_the_lowest_value():
    assert (columns(np.zeros(4000, np.float32)) == -4).all()


def test_very_short_audio_gives_no_or_few_columns():
    assert list(mel_columns([])) == []
    assert list(mel_columns([np.zeros(0, np.float32)])) == []
    assert columns(recording(300)).shape == (80, 2)


def original_chunks(mel: np.ndarray, fps: float) -> list[np.ndarray]:
    """The original's loop."""
    chunks, i = [], 0
    while True:
        start = int(i * (80.0 / fps))
        if start + 16 > mel.shape[1]:
            chunks.append(mel[:, mel.shape[1] - 16 :])
            return chunks
        chunks.append(mel[:, start : start + 16])
        i += 1


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24), Fraction(30_000, 1001), Fraction(60)])
@pytest.mark.parametrize("samples", [3_200, 16_000, 47_777])
def test_windows_match_the_original_inference(fps, samples):
    mel = columns(recording(samples))
    expected = original_chunks(mel, float(fps))
    pieces = [mel[:, k : k + 37] for k in range(0, mel.shape[1], 37)]
    ours = list(mel_windows(pieces, original_starts(samples, fps)))
    assert len(ours) == len(expected)
    assert all((one == other).all() for one, other in zip(ours, expected, strict=True))


def test_training_windows_start_a_frame_early_and_cover_every_frame():
    mel = columns(recording(16_000))
    starts = list(trained_starts(25, Fraction(25)))
    assert starts[:3] == [-4, 0, 3]
    windows = list(mel_windows([mel], starts))
    assert len(windows) == 25
    assert (windows[0][:, :4] == -4).all()
    assert (windows[0][:, 4:] == mel[:, :12]).all()
    assert (windows[1] == mel[:, :16]).all()
    assert starts[24] == 73
    assert (windows[24][:, :8] == mel[:, 73:81]).all()
    assert (windows[24][:, 8:] == -4).all()


def test_audio_shorter_than_a_window_counts_as_one():
    starts = original_starts(1_000, Fraction(25))
    assert starts == [0, 0]
    (first, last) = mel_windows([columns(recording(1_000))], starts)
    assert first.shape == last.shape == (80, 16)
    assert (first[:, 6:] == -4).all()


def test_windows_long_before_the_audio_are_silent():
    (window,) = mel_windows([columns(recording(4_000))], [-40])
    assert window.shape == (80, 16)
    assert (window == -4).all()
