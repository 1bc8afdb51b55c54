"""Whisper's input: log-mel frames at 100 per second, relative to the voice's level.

The filters and the scale are those of Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision",
2022. There, the loudest value of a recording limits the range. Here, the level of the voice around each moment does,
so that a result depends on neither the recording's level nor where the recording starts, ends or was cut into blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.speech.audio import SPEECH_RATE
from lipsync.types import Float32

HOP, WINDOW = 160, 400  # samples
BANDS: Final = 80
FRAME_RATE: Final = SPEECH_RATE // HOP  # frames per second
BLOCK_FRAMES: Final = 50  # frames that are computed together, and over which levels are summed
REACH_BLOCKS: Final = 20  # blocks on each side that contribute to the voice's level
MIN_LEVEL: Final = 10.0**-4.2  # of the faintest voice: the mean power of a band, about -65 dB of full scale
VOICE: Final = 0.0  # the scaled level of the voice, about that of ordinary recordings in Whisper
RANGE: Final = 6.0  # decades of power below the voice's level, where silence begins
SILENCE: Final = (VOICE - RANGE + 4.0) / 4.0  # the value of digital silence


def mel_filters() -> Float32:
    """Slaney's triangular mel filters (201, 80) of equal area, from FFT power to band power."""
    points = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(SPEECH_RATE / 2), BANDS + 2))
    hertz = np.linspace(0, SPEECH_RATE / 2, WINDOW // 2 + 1)[:, None]
    below, centre, above = points[:-2], points[1:-1], points[2:]
    weight = np.minimum((hertz - below) / (centre - below), (above - hertz) / (above - centre))
    return np.asarray(np.maximum(weight, 0) * 2 / (above - below), np.float32)


def _hertz_to_mel(hertz: float) -> float:
    """Slaney's mel scale ("Auditory Toolbox", 1998) above 1 kHz."""
    return 15.0 + float(np.log(hertz / 1000.0)) * 27.0 / float(np.log(6.4))


def _mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: linear to 1 kHz, then logarithmic."""
    return np.asarray(np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0)))


def log_mel(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Scaled log-mel frames in pieces (50, 80), the last one shorter; about 1.5 at most, ``SILENCE`` at least.

    ``blocks``: mono 16 kHz samples in -1..1, of any sizes. Frame k is centred on sample 160 k; n samples give
    ceil(n / 160) frames. 20 seconds of frames are buffered, at any length.
    """
    window: list[tuple[Float32, Float32]] = []  # power and level sums of consecutive blocks
    first = done = 0
    for power in rechunk(band_power(blocks), BLOCK_FRAMES):
        window.append((power, _level_sums(power)))
        while first + len(window) > done + REACH_BLOCKS + 1:
            yield _scaled(window, first, done)
            done += 1
            if done - first > REACH_BLOCKS + 1:
                window.pop(0)
                first += 1
    while done < first + len(window):
        yield _scaled(window, first, done)
        done += 1


def band_power(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """The power in each band, (m, 80), in pieces whose lengths do not depend on those of the blocks."""
    filters, taper = mel_filters(), np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    before = np.zeros(WINDOW // 2, np.float32)
    for samples in _with_end(rechunk(blocks, BLOCK_FRAMES * HOP)):
        joined = np.concatenate([before, samples])
        count = max(0, (len(joined) - WINDOW) // HOP + 1)
        before = joined[count * HOP :]
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(joined, WINDOW)[: count * HOP : HOP]
            spectrum = np.fft.rfft(frames * taper)
            yield np.asarray((spectrum.real**2 + spectrum.imag**2) @ filters, np.float32)


def _with_end(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """The blocks, then as much silence as the last frame needs."""
    samples = 0
    for block in blocks:
        samples += len(block)
        yield block
    if samples:
        yield np.zeros(-samples % HOP + WINDOW // 2 - HOP, np.float32)


def _level_sums(power: Float32) -> Float32:
    """A block's sums (2,): the mean powers of its frames weighted by their amplitudes, and the weights."""
    mean = power.mean(1, dtype=np.float64)
    amplitude = np.sqrt(mean)
    return np.array([(mean * amplitude).sum(), amplitude.sum()])


def _scaled(window: list[tuple[Float32, Float32]], first: int, index: int) -> Float32:
    """The scaled frames of block ``index``; the level is interpolated between it and its neighbours."""
    levels = np.array([_level_at(window, first, index + step) for step in (-1, 0, 1)])
    power = window[index - first][0]
    position = (np.arange(len(power)) + 0.5) / BLOCK_FRAMES - 0.5
    level = np.interp(position, (-1, 0, 1), levels)[:, None]
    relative = np.log10(np.maximum(power, 1e-30)) - level
    return np.asarray((np.maximum(relative, -RANGE) + VOICE + 4.0) / 4.0, np.float32)


def _level_at(window: list[tuple[Float32, Float32]], first: int, centre: int) -> float:
    """The logarithm of the voice's level at block ``centre``, from a triangular window of blocks.

    Loud frames decide, so that pauses do not matter.
    """
    index = np.arange(first, first + len(window))
    weight = np.maximum(0.0, 1.0 - np.abs(index - centre) / REACH_BLOCKS)
    power, amplitude = weight @ np.stack([sums for _, sums in window])
    return float(np.log10(max(power / (amplitude + 1e-30), MIN_LEVEL)))


def rechunk(pieces: Iterable[Float32], size: int) -> Iterator[Float32]:
    """Arrays of any lengths as arrays of ``size`` along the first axis, the last one shorter."""
    held: list[Float32] = []
    count = 0
    for piece in pieces:
        held.append(np.asarray(piece, np.float32))
        count += len(piece)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)
