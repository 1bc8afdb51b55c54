"""The mel spectrogram that the Wav2Lip generator was trained on: 80 bands, 80 columns per second.

The parameters are those of the published model (Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip
Generation in the Wild", ACM Multimedia 2020). The mel scale is Slaney's (Auditory Toolbox, Interval Research, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count, takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.speech.audio import SPEECH_RATE
from lipsync.types import Float32

HOP, WINDOW = 200, 800  # samples
HALF_WINDOW: Final = WINDOW // 2
COLUMN_RATE: Final = SPEECH_RATE // HOP  # columns per second
WINDOW_COLUMNS: Final = 16  # columns that the generator takes for one frame
TRAINED_LEAD: Final = Fraction(1, 25)  # seconds
BANDS: Final = 80
MIN_HZ, MAX_HZ = 55.0, 7600.0
PREEMPHASIS: Final = 0.97
MIN_AMPLITUDE, REFERENCE_DB, RANGE_DB = 1e-5, 20.0, 100.0
LIMIT: Final = 4.0  # the spectrogram is scaled to -LIMIT..LIMIT
# Slaney's scale: linear in Hz per mel up to the knee, then logarithmic, in log Hz per mel.
LINEAR_STEP, KNEE_HZ, LOG_STEP = 200 / 3, 1000.0, math.log(6.4) / 27


def mel_columns(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Mel spectrogram in -4..4, in pieces (80, m), of mono 16 kHz samples in -1..1 in blocks of any size.

    Column k is centred on sample 200 k, and the signal is mirrored at both ends: n samples give 1 + n // 200 columns.
    The result does not depend on the block sizes, and memory does not grow with the length.
    """
    bank, taper = _filterbank(), np.hanning(WINDOW + 1)[:-1]
    for section in _sections(_preemphasised(blocks)):
        frames = np.lib.stride_tricks.sliding_window_view(section, WINDOW)[::HOP]
        amplitude = np.abs(np.fft.rfft(frames * taper, axis=1))
        level = 20 * np.log10(np.maximum(MIN_AMPLITUDE, amplitude @ bank.T)) - REFERENCE_DB
        scaled = 2 * LIMIT * (level + RANGE_DB) / RANGE_DB - LIMIT
        yield np.asarray(np.clip(scaled, -LIMIT, LIMIT).T, np.float32)


def original_starts(samples: int, rate: Fraction) -> list[int]:
    """The first mel column of each frame's window as the original inference cuts it, for ``samples`` at 16 kHz.

    The last window ends with the audio, so the last 200 ms give at most one frame. Audio shorter than a window counts
    as one window.
    """
    total = max(1 + samples // HOP, WINDOW_COLUMNS)
    step = COLUMN_RATE / float(rate)
    starts = list(takewhile(lambda start: start + WINDOW_COLUMNS <= total, (int(i * step) for i in count())))
    return [*starts, total - WINDOW_COLUMNS]


def trained_starts(frames: int, rate: Fraction) -> Iterator[int]:
    """The first mel column of each frame's window as in training: 40 ms before the frame.

    The original inference starts the window at the frame, so its mouth moves 40 ms early.
    """
    return (math.floor((i / rate - TRAINED_LEAD) * COLUMN_RATE) for i in range(frames))


def mel_windows(columns: Iterable[Float32], starts: Iterable[int]) -> Iterator[Float32]:
    """Cut windows (80, 16) at the columns ``starts``, in ascending order, from pieces (80, m) of mel columns.

    The audio is padded with silence at both ends.
    """
    pieces = iter(columns)
    buffer, first = np.zeros((BANDS, 0), np.float32), 0
    for start in starts:
        while first + buffer.shape[1] < start + WINDOW_COLUMNS:
            piece = next(pieces, None)
            missing = start + WINDOW_COLUMNS - first - buffer.shape[1]
            buffer = np.concatenate([buffer, _silence(missing) if piece is None else piece], axis=1)
        passed = max(0, start - first)
        buffer, first = buffer[:, passed:], first + passed
        lead = max(0, first - start)
        head, tail = _silence(min(lead, WINDOW_COLUMNS)), buffer[:, : max(0, WINDOW_COLUMNS - lead)]
        yield np.concatenate([head, tail], axis=1)


def _silence(columns: int) -> Float32:
    return np.full((BANDS, columns), -LIMIT, np.float32)


def _preemphasised(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Subtract a share of the previous sample from each sample, which amplifies high frequencies."""
    last = np.zeros(1, np.float32)
    for block in blocks:
        if len(block):
            joined = np.concatenate([last, block])
            last = joined[-1:]
            yield np.asarray(joined[1:] - PREEMPHASIS * joined[:-1], np.float32)


def _sections(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """The samples with half a window mirrored at both ends, in sections that overlap so that no hop is lost."""
    buffer, started = np.zeros(0, np.float32), False
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        if not started and len(buffer) > HALF_WINDOW:
            buffer, started = np.concatenate([buffer[HALF_WINDOW:0:-1], buffer]), True
        hops = (len(buffer) - WINDOW - HALF_WINDOW) // HOP  # keep half a window to mirror at the end
        if started and hops > 0:
            yield buffer[: WINDOW + (hops - 1) * HOP]
            buffer = buffer[hops * HOP :]
    if not len(buffer):
        return
    buffer = np.pad(buffer, (0 if started else HALF_WINDOW, HALF_WINDOW), mode="reflect")
    if len(buffer) >= WINDOW:
        yield buffer


def _filterbank() -> Float32:
    """Triangular filters (80, 401) of equal area, evenly spaced on Slaney's mel scale."""
    edges = _mel_to_hertz(np.linspace(_hertz_to_mel(MIN_HZ), _hertz_to_mel(MAX_HZ), BANDS + 2, dtype=np.float64))
    bins = np.linspace(0, SPEECH_RATE / 2, HALF_WINDOW + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None], np.float32)


def _hertz_to_mel(hertz: float) -> float:
    return hertz / LINEAR_STEP if hertz < KNEE_HZ else KNEE_HZ / LINEAR_STEP + math.log(hertz / KNEE_HZ) / LOG_STEP


def _mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = KNEE_HZ / LINEAR_STEP
    return np.asarray(np.where(mel < knee, mel * LINEAR_STEP, KNEE_HZ * np.exp(LOG_STEP * (mel - knee))))
