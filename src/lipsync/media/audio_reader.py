"""Sound for the engines, and whether it is fit for them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction

import av
import numpy as np
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout

from lipsync.errors import AudioClipped, AudioInvalid, AudioTooShort
from lipsync.files import scratch_errors, scratch_file
from lipsync.media.decoding import decoded
from lipsync.media.probe import audio_of, open_media
from lipsync.speech.audio import SPEECH_RATE, AudioStats, SpeechAudio
from lipsync.types import AudioInfo, Clip

SHORTEST = Fraction(1, 25)
CLIPPED = 0.1  # share of samples at full scale from which sound counts as distorted
FULL_SCALE = 0.999


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
