"""What Wav2Lip hears: 80 mel bands, 80 columns a second, exactly as its generator was trained on.

The figures are those of the published model (Prajwal et al., "A lip sync expert is all you need for speech to lip
generation in the wild", ACM Multimedia 2020); the bands are Slaney's (Auditory Toolbox, Interval Research, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count, takewhile

import numpy as np
from numpy.typing import NDArray

from lipsync.types import Float32

RATE = 16_000  # samples per second
HOP, WINDOW = 200, 800  # samples
COLUMN_RATE = RATE // HOP  # columns per second
WINDOW_COLUMNS = 16  # columns that the generator hears for one frame
TRAINED_LEAD = Fraction(1, 25)  # seconds
BANDS = 80
LOWEST, HIGHEST = 55.0, 7600.0  # Hz
EMPHASIS = 0.97
QUIETEST, REFERENCE, RANGE, LIMIT = 1e-5, 20.0, 100.0, 4.0  # amplitude, dB, dB, and the span of the result
HALF = WINDOW // 2
LINEAR, KNEE, STEP = 200 / 3, 1000.0, math.log(6.4) / 27  # Hz a mel below the knee, Hz, and log of Hz a mel above it


def mel_columns(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Mel spectrum in -4..4, pieces (80, m), of mono 16 kHz samples in -1..1 in blocks of any size.

    Column k is centred on sample 200 k; both ends are mirrored; n samples give 1 + n // 200 columns, however they were
    cut into blocks. Memory does not grow with the length.
    """
    bank, taper = _bank(), np.hanning(WINDOW + 1)[:-1]
    for stretch in _stretches(_emphasised(blocks)):
        frames = np.lib.stride_tricks.sliding_window_view(stretch, WINDOW)[::HOP]
        amplitude = np.abs(np.fft.rfft(frames * taper, axis=1))
        level = 20 * np.log10(np.maximum(QUIETEST, amplitude @ bank.T)) - REFERENCE
        scaled = 2 * LIMIT * (level + RANGE) / RANGE - LIMIT
        yield np.asarray(np.clip(scaled, -LIMIT, LIMIT).T, np.float32)


def original_starts(samples: int, rate: Fraction) -> list[int]:
    """The first mel column of each frame's window, as the original's inference cut them, of ``samples`` at 16 kHz.

    The last window ends with the sound, so the last 200 ms get at most one frame. Sound of less than a window counts
    as a window.
    """
    total = max(1 + samples // HOP, WINDOW_COLUMNS)
    step = COLUMN_RATE / float(rate)
    starts = list(takewhile(lambda start: start + WINDOW_COLUMNS <= total, (int(i * step) for i in count())))
    return [*starts, total - WINDOW_COLUMNS]


def trained_starts(frames: int, rate: Fraction) -> Iterator[int]:
    """The first mel column of each frame's window, as the original was trained: 40 ms before the frame.

    Its inference begins each window with the frame instead, so that the mouth came 40 ms early.
    """
    return (math.floor((i / rate - TRAINED_LEAD) * COLUMN_RATE) for i in range(frames))


def mel_windows(columns: Iterable[Float32], starts: Iterable[int]) -> Iterator[Float32]:
    """Windows (80, 16) of mel columns that come in pieces (80, m), from the columns ``starts`` on, which never fall.

    Before and after the sound there is silence.
    """
    pieces = iter(columns)
    held, first = np.zeros((BANDS, 0), np.float32), 0
    for start in starts:
        while first + held.shape[1] < start + WINDOW_COLUMNS:
            piece = next(pieces, None)
            missing = start + WINDOW_COLUMNS - first - held.shape[1]
            held = np.concatenate([held, _silence(missing) if piece is None else piece], axis=1)
        passed = max(0, start - first)
        held, first = held[:, passed:], first + passed
        lead = max(0, first - start)
        yield np.concatenate([_silence(min(lead, WINDOW_COLUMNS)), held[:, : max(0, WINDOW_COLUMNS - lead)]], axis=1)


def _silence(columns: int) -> Float32:
    return np.full((BANDS, columns), -LIMIT, np.float32)


def _emphasised(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """High frequencies louder: each sample less most of the one before, the first one as it is."""
    last = np.zeros(1, np.float32)
    for block in blocks:
        if len(block):
            joined = np.concatenate([last, block])
            last = joined[-1:]
            yield np.asarray(joined[1:] - EMPHASIS * joined[:-1], np.float32)


def _stretches(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """The sound with half a window mirrored at both ends, in stretches that overlap by what a hop needs."""
    held, started = np.zeros(0, np.float32), False
    for block in blocks:
        held = np.concatenate([held, block])
        if not started and len(held) > HALF:
            held, started = np.concatenate([held[HALF:0:-1], held]), True
        whole = (len(held) - WINDOW - HALF) // HOP  # half a window stays, for the mirror at the end
        if started and whole > 0:
            yield held[: WINDOW + (whole - 1) * HOP]
            held = held[whole * HOP :]
    if not len(held):
        return
    ends = (0, HALF) if started else (HALF, HALF)
    held = np.pad(held, ends, mode="reflect")
    if len(held) >= WINDOW:
        yield held


def _bank() -> Float32:
    """Triangles (80, 401) of equal area, even on Slaney's mel scale."""
    edges = _hertz(np.linspace(_mel(LOWEST), _mel(HIGHEST), BANDS + 2, dtype=np.float64))
    bins = np.linspace(0, RATE / 2, HALF + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None], np.float32)


def _mel(hertz: float) -> float:
    return hertz / LINEAR if hertz < KNEE else KNEE / LINEAR + math.log(hertz / KNEE) / STEP


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = KNEE / LINEAR
    return np.asarray(np.where(mel < knee, mel * LINEAR, KNEE * np.exp(STEP * (mel - knee))))
