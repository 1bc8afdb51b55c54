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
    """What listening through found: ``duration`` in seconds, ``peak`` of full scale, share of samples at full scale."""

    duration: Fraction
    peak: float
    clipped_share: float


class SpeechAudio:
    """A sound that was listened to: ``stats`` about it, and ``samples`` of it as engines hear it, at 16 kHz.

    They lie in a file, so that every engine can hear them again without decoding, in memory that does not grow.
    """

    def __init__(self, file: IO[bytes], stats: AudioStats, samples: int) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.stats = stats
        self.samples = samples

    def blocks(self, av_offset: Fraction = Fraction(0), seconds: float = 1.0) -> Generator[Float32, None, None]:
        """Mono float32 (n,) in -1..1 at 16 kHz in blocks of ``seconds``, heard ``av_offset`` seconds later than it
        is: with silence before it, or its beginning left out where that is negative."""
        size, late = int(SPEECH_RATE * seconds), round(av_offset * SPEECH_RATE)
        for start in range(-late, 0, size):
            yield np.zeros(min(size, -start), np.float32)
        for start in range(max(0, -late), self.samples, size):
            yield self._read(start, min(size, self.samples - start))

    def _read(self, start: int, count: int) -> Float32:
        with self._lock, scratch_errors():
            self._file.seek(start * SAMPLE_BYTES)
            return np.frombuffer(self._file.read(count * SAMPLE_BYTES), np.float32).copy()
