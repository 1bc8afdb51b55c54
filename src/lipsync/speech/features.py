"""Log-mel frames at 100 per second, independent of level and microphone, for the detection of silence.

Broad bands with short windows suppress the pitch: harmonics blur into formants. Each band is divided by the voice's own
long-term spectrum around that moment, which removes level and microphone (blind deconvolution by long-term averages,
Stockham, Cannon and Ingebretsen, Proceedings of the IEEE 63(4), 1975). Frames count by their amplitude, so that pauses
do not matter, and an average voice's spectrum is the prior where there is little speech. All results depend on frames
and half seconds only, never on how the audio was cut into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.logmel import rechunk
from lipsync.types import Float32

HOP, WINDOW, FFT_SIZE = 160, 320, 512  # samples
BANDS: Final = 40
MIN_HZ, MAX_HZ, MIN_HALF_WIDTH_HZ = 80.0, 7600.0, 150.0  # of the bands
BLOCK_FRAMES: Final = 50  # frames per block of the long-term spectrum
REACH_BLOCKS: Final = 20  # blocks on each side that contribute to it
PRIOR_FRAMES: Final = 50.0  # weight of the average voice, in loud frames
MIN_VOICE_POWER: Final = 0.04  # total power of the faintest voice, about -65 dB of full scale
SILENT_POWER: Final = 2e-4  # relative to the long-term spectrum: a band with this power counts as silent
SILENCE: Final = (math.log(SILENT_POWER) + 4.0) / 3.0  # the feature of digital silence, see ``compress``


def hertz_to_mel(hertz: Float32 | float) -> Float32:
    """The mel scale of O'Shaughnessy, "Speech Communication: Human and Machine", 1987."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0), np.float32)


def filterbank() -> Float32:
    """Triangular mel filters (257, 40) from FFT power to band power, each at least 300 Hz wide."""
    points = np.linspace(float(hertz_to_mel(MIN_HZ)), float(hertz_to_mel(MAX_HZ)), BANDS + 2)
    edges = 700.0 * (10.0 ** (points / 2595.0) - 1.0)
    centre = edges[1:-1]
    below = np.maximum(centre - edges[:-2], MIN_HALF_WIDTH_HZ)
    above = np.maximum(edges[2:] - centre, MIN_HALF_WIDTH_HZ)
    offset = np.linspace(0, SPEECH_RATE / 2, FFT_SIZE // 2 + 1)[:, None] - centre
    weight = np.maximum(0.0, 1.0 - np.where(offset < 0, -offset / below, offset / above))
    return np.asarray(weight / weight.sum(0) * (FFT_SIZE // 4), np.float32)


def average_voice() -> Float32:
    """The long-term spectrum (40,) of an average voice, summing to 1: flat to 500 Hz, then -9 dB per octave."""
    points = np.linspace(float(hertz_to_mel(MIN_HZ)), float(hertz_to_mel(MAX_HZ)), BANDS + 2)[1:-1]
    hertz = 700.0 * (10.0 ** (points / 2595.0) - 1.0)
    power = np.minimum(1.0, (hertz / 500.0) ** -3.0)
    return np.asarray(power / power.sum(), np.float32)


def band_power(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """The power in each band, in pieces (m, 40), of mono 16 kHz samples in -1..1 in blocks of any size.

    Frame k is centred on sample 160 k; n samples give ceil(n / 160) frames.
    """
    bank, window = filterbank(), np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    buffer = np.zeros(WINDOW // 2, np.float32)
    samples = frames = 0
    for block in blocks:
        samples += len(block)
        buffer = np.concatenate([buffer, np.asarray(block, np.float32)])
        count = max(0, (len(buffer) - WINDOW) // HOP + 1)
        if count:
            yield _power(buffer, count, window, bank)
            buffer = buffer[count * HOP :]
            frames += count
    missing = -(-samples // HOP) - frames
    if missing > 0:
        yield _power(np.pad(buffer, (0, WINDOW + missing * HOP)), missing, window, bank)


def _power(samples: Float32, count: int, window: Float32, bank: Float32) -> Float32:
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[: count * HOP : HOP][:count]
    spectrum = np.fft.rfft(frames * window, FFT_SIZE)
    return np.asarray((spectrum.real**2 + spectrum.imag**2) @ bank, np.float32)


def weighted_sums(power: Float32) -> Float32:
    """A block's (<= 50, 40) sums (42,): band powers weighted by the frames' amplitudes, the weights, their squares."""
    amplitude = np.sqrt(power.sum(1, dtype=np.float64))
    weighted = (power * amplitude[:, None]).sum(0)
    return np.concatenate([weighted, [amplitude.sum(), (amplitude**2).sum()]])


def long_term(sums: Float32, shape: Float32) -> Float32:
    """The log long-term spectrum (n, 40) from ``weighted_sums`` (n, 42)."""
    weighted, weight, square = sums[:, :-2], sums[:, -2:-1] + 1e-12, sums[:, -1:]
    prior = PRIOR_FRAMES * square / weight
    level = weighted.sum(1, keepdims=True) / weight
    spectrum = (weighted + prior * level * shape) / (weight + prior)
    return np.asarray(np.log(np.maximum(spectrum, minimum_voice(shape))), np.float32)


def minimum_voice(shape: Float32) -> Float32:
    """Band powers (40,) of the faintest voice: flatter than the spectrum ``shape``, so that dither stays below it."""
    flatter = np.sqrt(shape)
    return np.asarray(MIN_VOICE_POWER * flatter / flatter.sum(), np.float32)


def compress(power: Float32, reference: Float32) -> Float32:
    """Band power relative to the log long-term spectrum, on a logarithmic scale: about -1.5 for silence, up to 2."""
    relative = power / np.exp(reference) + SILENT_POWER
    return np.asarray((np.log(relative) + 4.0) / 3.0, np.float32)


def features(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Normalised log-mel frames, 100 per second, in pieces (50, 40), the last one shorter.

    ``blocks``: mono 16 kHz samples in -1..1, of any sizes. Half a minute of frames is buffered, at any length.
    """
    return normalise(band_power(blocks))


def normalise(pieces: Iterable[Float32]) -> Iterator[Float32]:
    """``features`` from band power in pieces of any length."""
    shape = average_voice()
    window: list[tuple[Float32, Float32]] = []  # power and weighted sums of consecutive blocks
    first = done = 0
    for power in rechunk(pieces, BLOCK_FRAMES):
        window.append((power, weighted_sums(power)))
        while first + len(window) > done + REACH_BLOCKS + 1:
            yield _normalise_block(window, first, done, shape)
            done += 1
            if done - first > REACH_BLOCKS + 1:
                window.pop(0)
                first += 1
    while done < first + len(window):
        yield _normalise_block(window, first, done, shape)
        done += 1


def _normalise_block(window: list[tuple[Float32, Float32]], first: int, index: int, shape: Float32) -> Float32:
    """The features of block ``index``; the long-term spectrum is interpolated between it and its neighbours."""
    reference = np.stack([_spectrum_at(window, first, index + step, shape) for step in (-1, 0, 1)])
    power = window[index - first][0]
    position = (np.arange(len(power)) + 0.5) / BLOCK_FRAMES + 0.5  # 1 is the block's own centre
    left = np.floor(position).astype(int)
    share = (position - left)[:, None]
    return compress(power, reference[left] * (1 - share) + reference[left + 1] * share)


def _spectrum_at(window: list[tuple[Float32, Float32]], first: int, centre: int, shape: Float32) -> Float32:
    """The log long-term spectrum (40,) at block ``centre``, from a triangular window of blocks."""
    index = np.arange(first, first + len(window))
    weight = np.maximum(0.0, 1.0 - np.abs(index - centre) / REACH_BLOCKS)
    sums = weight @ np.stack([sums for _, sums in window])
    return np.asarray(long_term(sums[None], shape)[0], np.float32)
