"""Sound for the engines, and whether it is fit for them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

import av
import numpy as np
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout

from lipsync.errors import AudioClipped, AudioInvalid, AudioTooShort
from lipsync.files import scratch_errors, scratch_file
from lipsync.media.decoding import decoded
from lipsync.media.probe import audio_of, open_media
from lipsync.types import AudioInfo, Clip, Float32

SPEECH_RATE = 16_000
SAMPLE = 4  # bytes
SHORTEST = Fraction(1, 25)
CLIPPED = 0.1  # share of samples at full scale from which sound counts as distorted
FULL_SCALE = 0.999


@dataclass(frozen=True, slots=True)
class AudioStats:
    """What listening through found: ``duration`` in seconds, ``peak`` of full scale, share of samples at full scale."""

    duration: Fraction
    peak: float
    clipped_share: float


class SpeechAudio:
    """A sound that was listened to: ``facts`` about it, and ``samples`` of it as engines hear it, at 16 kHz.

    They lie in a file, so that every engine can hear them again without decoding, in memory that does not grow.
    """

    def __init__(self, file: IO[bytes], facts: AudioStats, samples: int) -> None:
        self._file = file
        self._turn = threading.Lock()
        self.facts = facts
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
        with self._turn, scratch_errors():
            self._file.seek(start * SAMPLE)
            return np.frombuffer(self._file.read(count * SAMPLE), np.float32).copy()


def resampled(
    clip: Clip, form: str | AudioFormat, layout: str | AudioLayout | None, rate: int
) -> Generator[AudioFrame, None, None]:
    """The clip's sound from its first sample on, in a sample format, layout and rate.

    Raises NoAudioStream, MediaTruncated, and what ``open_media`` raises.
    """
    resampler = av.AudioResampler(form, layout, rate)
    with closing(_frames(clip)) as frames:
        for frame in frames:
            yield from resampler.resample(frame)


@contextmanager
def listen(clip: Clip, *, allow_clipped: bool) -> Iterator[SpeechAudio]:
    """Listen through the sound once.

    Raises NoAudioStream, MediaTruncated, AudioInvalid, AudioTooShort, DiskFull, and AudioClipped unless it is allowed.
    """
    check, samples = _Check(clip, audio_of(clip)), 0
    speech = av.AudioResampler("flt", "mono", SPEECH_RATE)
    with scratch_file() as file, closing(_frames(clip)) as frames:
        for frame in frames:
            check.take(frame)
            for part in speech.resample(frame):
                with scratch_errors():
                    file.write(np.ascontiguousarray(part.to_ndarray()[0], np.float32).tobytes())
                samples += part.samples
        yield SpeechAudio(file, check.result(allow_clipped), samples)


def _frames(clip: Clip) -> Generator[AudioFrame | None, None, None]:
    """The decoded sound, then None, which lets a resampler give what it holds."""
    audio_of(clip)
    with open_media(clip.path) as container:
        for frame in decoded(clip.path, container, container.streams.audio[0], AudioFrame):
            frame.pts = None  # else a gap in the file's times would be filled or cut
            yield frame
        yield None


class _Check:
    """Takes the sound as it is in the file, and says whether it will do."""

    def __init__(self, clip: Clip, info: AudioInfo) -> None:
        self._path, self._info = clip.path, info
        self._plain = av.AudioResampler("flt", None, info.rate)
        self._samples = self._clipped = 0
        self._peak = 0.0

    def take(self, frame: AudioFrame | None) -> None:
        for part in self._plain.resample(frame):
            block = np.abs(part.to_ndarray())
            if not np.isfinite(block).all():
                time = self._samples / self._info.rate
                raise AudioInvalid(f"{self._path}: not a number in the sound at {time:.1f} s")
            self._samples += part.samples
            self._peak = max(self._peak, float(block.max(initial=0)))
            self._clipped += int((block >= FULL_SCALE).sum())

    def result(self, allow_clipped: bool) -> AudioStats:
        duration = Fraction(self._samples, self._info.rate)
        if duration < SHORTEST:
            raise AudioTooShort(f"{self._path}: {float(duration) * 1000:.0f} ms of sound are too short")
        share = self._clipped / max(1, self._samples * self._info.channels)
        if share > CLIPPED and not allow_clipped:
            raise AudioClipped(
                f"{self._path}: {share:.0%} of the sound is clipped; --allow-clipped uses it all the same"
            )
        return AudioStats(duration, self._peak, share)
