"""What the motion network hears: log-mel frames, 100 a second, that do not depend on level or microphone.

Broad, short-window bands keep the pitch out (harmonics blur into the formants); each band is measured against the
voice's own long-term spectrum around that moment, so a quieter voice or another microphone gives the same picture.
The long-term spectrum weights a frame by its amplitude, so pauses do not count, and leans on the average voice where
there is little speech. Everything is computed per frame or per half second, so the result never depends on how the
sound was cut into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from lipsync.types import Float32

RATE = 16_000  # samples per second
HOP = 160  # samples per frame
WINDOW = 320
FFT = 512
BANDS = 40
LOWEST, HIGHEST, NARROWEST = 80.0, 7600.0, 150.0  # Hz; the last is the least half width of a band
BLOCK = 50  # frames over which the long-term spectrum is gathered
REACH = 20  # blocks to each side that it is taken from
PRIOR = 50.0  # loud frames' worth of trust in the average voice's spectrum
QUIETEST = 0.04  # power of all bands below which no voice is assumed (about -65 dB of full scale)
DEPTH = 2e-4  # power under the long-term spectrum at which a band counts as silent
SILENCE = (math.log(DEPTH) + 4.0) / 3.0  # what ``compress`` makes of no sound at all


def mel(hertz: Float32 | float) -> Float32:
    """O'Shaughnessy's mel scale."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0), np.float32)


def filterbank() -> Float32:
    """Triangles (257, 40) on the mel scale that carry an FFT's power into bands; each is at least 300 Hz wide."""
    points = np.linspace(float(mel(LOWEST)), float(mel(HIGHEST)), BANDS + 2)
    edges = 700.0 * (10.0 ** (points / 2595.0) - 1.0)
    centre = edges[1:-1]
    below = np.maximum(centre - edges[:-2], NARROWEST)
    above = np.maximum(edges[2:] - centre, NARROWEST)
    away = np.linspace(0, RATE / 2, FFT // 2 + 1)[:, None] - centre
    weight = np.maximum(0.0, 1.0 - np.where(away < 0, -away / below, away / above))
    return np.asarray(weight / weight.sum(0) * (FFT // 4), np.float32)


def average_voice() -> Float32:
    """Long-term spectrum (40,) of the average voice, summing to 1: flat to 500 Hz, then 9 dB less per octave."""
    points = np.linspace(float(mel(LOWEST)), float(mel(HIGHEST)), BANDS + 2)[1:-1]
    hertz = 700.0 * (10.0 ** (points / 2595.0) - 1.0)
    power = np.minimum(1.0, (hertz / 500.0) ** -3.0)
    return np.asarray(power / power.sum(), np.float32)


def band_power(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Power in each band, (m, 40) pieces, from mono 16 kHz samples in -1..1 in blocks of any size.

    Frame k is centred on sample 160 k; n samples give ceil(n / 160) frames.
    """
    bank, window = filterbank(), np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    rest = np.zeros(WINDOW // 2, np.float32)
    heard = made = 0
    for block in blocks:
        heard += len(block)
        rest = np.concatenate([rest, np.asarray(block, np.float32)])
        count = max(0, (len(rest) - WINDOW) // HOP + 1)
        if count:
            yield _power(rest, count, window, bank)
            rest = rest[count * HOP :]
            made += count
    missing = -(-heard // HOP) - made
    if missing > 0:
        yield _power(np.pad(rest, (0, WINDOW + missing * HOP)), missing, window, bank)


def _power(samples: Float32, count: int, window: Float32, bank: Float32) -> Float32:
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[: count * HOP : HOP][:count]
    spectrum = np.fft.rfft(frames * window, FFT)
    return np.asarray((spectrum.real**2 + spectrum.imag**2) @ bank, np.float32)


def gather(power: Float32) -> Float32:
    """What a block (<= 50, 40) adds to the long-term spectrum: amplitude-weighted powers, the weight, its square."""
    amplitude = np.sqrt(power.sum(1, dtype=np.float64))
    weighted = (power * amplitude[:, None]).sum(0)
    return np.concatenate([weighted, [amplitude.sum(), (amplitude**2).sum()]])


def long_term(sums: Float32, shape: Float32) -> Float32:
    """Log of the long-term spectrum (n, 40) from weighted sums (n, 42) of ``gather``."""
    weighted, weight, square = sums[:, :-2], sums[:, -2:-1] + 1e-12, sums[:, -1:]
    prior = PRIOR * square / weight
    level = weighted.sum(1, keepdims=True) / weight
    spectrum = (weighted + prior * level * shape) / (weight + prior)
    return np.asarray(np.log(np.maximum(spectrum, quietest(shape))), np.float32)


def quietest(shape: Float32) -> Float32:
    """Band powers (40,) of the faintest voice there may be: flatter than ``shape``, so that dither stays below."""
    flatter = np.sqrt(shape)
    return np.asarray(QUIETEST * flatter / flatter.sum(), np.float32)


def compress(power: Float32, reference: Float32) -> Float32:
    """Band power against the log long-term spectrum, as the network takes it: about -1.5 for silence, up to 2."""
    relative = power / np.exp(reference) + DEPTH
    return np.asarray((np.log(relative) + 4.0) / 3.0, np.float32)


def features(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Normalised log-mel frames, (50, 40) pieces (the last one shorter), 100 a second, of mono 16 kHz samples in -1..1.

    Holds half a minute of frames, whatever the sound's length.
    """
    return normalised(band_power(blocks))


def normalised(pieces: Iterable[Float32]) -> Iterator[Float32]:
    """Band power in pieces of any length to ``features``."""
    shape = average_voice()
    window: list[tuple[Float32, Float32]] = []  # a run of blocks: their power and sums
    first = done = 0
    for power in _regroup(pieces):
        window.append((power, gather(power)))
        while first + len(window) > done + REACH + 1:
            yield _normalise(window, first, done, shape)
            done += 1
            if done - first > REACH + 1:
                window.pop(0)
                first += 1
    while done < first + len(window):
        yield _normalise(window, first, done, shape)
        done += 1


def _normalise(window: list[tuple[Float32, Float32]], first: int, index: int, shape: Float32) -> Float32:
    """The block ``index`` of the sound, against the spectrum interpolated between it and its neighbours."""
    reference = np.stack([_around(window, first, index + step, shape) for step in (-1, 0, 1)])
    power = window[index - first][0]
    place = (np.arange(len(power)) + 0.5) / BLOCK + 0.5  # 1 is the block's own centre
    left = np.floor(place).astype(int)
    share = (place - left)[:, None]
    return compress(power, reference[left] * (1 - share) + reference[left + 1] * share)


def _around(window: list[tuple[Float32, Float32]], first: int, centre: int, shape: Float32) -> Float32:
    """The long-term spectrum at a block, from a triangle of blocks around it."""
    index = np.arange(first, first + len(window))
    weight = np.maximum(0.0, 1.0 - np.abs(index - centre) / REACH)
    sums = weight @ np.stack([sums for _, sums in window])
    return np.asarray(long_term(sums[None], shape)[0], np.float32)


def _regroup(pieces: Iterable[Float32]) -> Iterator[Float32]:
    """Pieces of any length as pieces of exactly BLOCK rows, the last one shorter."""
    rest = np.zeros((0, BANDS), np.float32)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        while len(rest) >= BLOCK:
            yield rest[:BLOCK]
            rest = rest[BLOCK:]
    if len(rest):
        yield rest
