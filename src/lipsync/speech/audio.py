"""The audio that drives the mouth: 16 kHz mono, decoded once."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

import numpy as np

from lipsync.files import scratch_errors
from lipsync.types import Float32

SPEECH_RATE = 16_000  # samples per second
SAMPLE_BYTES = 4


@dataclass(frozen=True, slots=True)
class AudioStats:
    """Measurements of an audio stream. ``duration``: seconds. ``peak``: 0..1, of full scale.

    ``clipped_share``: share of samples at full scale, 0..1.
    """

    duration: Fraction
    peak: float
    clipped_share: float


class SpeechAudio:
    """Decoded audio as the engines need it: mono, 16 kHz, in a file, so that memory does not grow with its length.

    ``stats``: measurements of the original. ``samples``: number of samples. Several readers may share it.
    """

    def __init__(self, file: IO[bytes], stats: AudioStats, samples: int) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.stats = stats
        self.samples = samples

    def blocks(self, av_offset: Fraction = Fraction(0), seconds: float = 1.0) -> Generator[Float32, None, None]:
        """Yield mono float32 samples (n,), -1..1, in blocks of ``seconds``, delayed by ``av_offset`` seconds.

        A positive offset inserts silence before the audio, a negative one cuts off its beginning. Raises DiskFull.
        """
        size, delay = int(SPEECH_RATE * seconds), round(av_offset * SPEECH_RATE)
        for start in range(-delay, 0, size):
            yield np.zeros(min(size, -start), np.float32)
        for start in range(max(0, -delay), self.samples, size):
            yield self._read(start, min(size, self.samples - start))

    def _read(self, start: int, count: int) -> Float32:
        with self._lock, scratch_errors():
            self._file.seek(start * SAMPLE_BYTES)
            return np.frombuffer(self._file.read(count * SAMPLE_BYTES), np.float32).copy()
