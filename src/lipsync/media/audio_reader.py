"""Decode audio: resampled for the encoder, and as 16 kHz mono for the engines."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import chain
from math import ceil

import av
import numpy as np
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout

from lipsync.errors import AudioClipped, AudioInvalid, AudioTooShort
from lipsync.files import SYSTEM_SCRATCH, Scratch, scratch_errors
from lipsync.media.audio_placement import Span, placed, shifted
from lipsync.media.decoding import decoded
from lipsync.media.limits import MediaLimits
from lipsync.media.probe import NO_LIMITS, audio_of, open_media
from lipsync.media.voice_mix import mix_voice
from lipsync.speech.audio import SPEECH_RATE, AudioStats, SpeechAudio
from lipsync.types import AudioInfo, Clip, Float32

MIN_SECONDS = Fraction(1, 25)
MAX_CLIPPED_SHARE = 0.1
FULL_SCALE = 0.999  # samples from this level on count as clipped


def resampled(
    clip: Clip,
    sample_format: str | AudioFormat,
    layout: str | AudioLayout | None,
    rate: int,
    shift: Fraction = Fraction(0),
) -> Generator[AudioFrame, None, None]:
    """Yield the clip's audio from its start on, converted to a sample format, channel layout and rate.

    ``shift``: seconds by which it plays earlier; see ``audio_placement.shifted``.

    Raises NoAudioStream, MediaTruncated, and what ``open_media`` raises.
    """
    resampler = av.AudioResampler(sample_format, layout, rate)
    with closing(_frames(clip)) as frames:
        for frame in shifted(frames, shift) if shift else frames:
            yield from resampler.resample(frame)
        yield from resampler.resample(None)


@contextmanager
def decode_speech(
    clip: Clip,
    *,
    allow_clipped: bool,
    seconds: Fraction | None = None,
    limits: MediaLimits = NO_LIMITS,
    scratch: Scratch = SYSTEM_SCRATCH,
) -> Iterator[SpeechAudio]:
    """Decode the clip's audio once, to its voice at 16 kHz in a temporary file, and measure it.

    ``seconds``: decode the beginning alone, up to this time. ``limits``: counted while decoding, as not every
    file states how long it is. ``scratch``: for the temporary file.

    Raises NoAudioStream, MediaTruncated, AudioInvalid, AudioTooShort, InputTooLarge, DiskFull, and AudioClipped unless
    ``allow_clipped``.
    """
    meter, sample_count = _Meter(clip, audio_of(clip)), 0
    limit = None if seconds is None else ceil(seconds * SPEECH_RATE)
    with scratch.file() as file, closing(_frames(clip)) as frames:
        for block in _voice(meter.measured(frames)):
            samples = block if limit is None else block[: limit - sample_count]
            with scratch_errors():
                file.write(samples.tobytes())
            sample_count += len(samples)
            limits.check_seconds(clip.path, Fraction(sample_count, SPEECH_RATE))
            if limit is not None and sample_count >= limit:
                break
        yield SpeechAudio(file, meter.stats(allow_clipped), sample_count)


def _voice(frames: Iterable[AudioFrame]) -> Iterator[Float32]:
    """Yield mono samples (n,) at SPEECH_RATE of packed audio."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return
    resampler, channels = av.AudioResampler("flt", None, SPEECH_RATE), first.layout.nb_channels
    resampled_frames = (block for frame in chain([first], frames, [None]) for block in resampler.resample(frame))
    blocks = (block.to_ndarray().astype(np.float32, copy=False).reshape(-1, channels) for block in resampled_frames)
    yield from mix_voice(blocks, first.layout, SPEECH_RATE)


def _frames(clip: Clip) -> Generator[AudioFrame, None, None]:
    """Yield the decoded audio from ``clip.audio.start`` on, packed, at its own rate."""
    audio = audio_of(clip)
    with open_media(clip.path) as container:
        stream = container.streams.audio[0]
        frames = decoded(clip.path, container, stream, AudioFrame, clip.joints)
        yield from placed(frames, Span(audio.start, audio.end))


class _Meter:
    """Measures audio at its own rate, and rejects what the engines cannot use."""

    def __init__(self, clip: Clip, info: AudioInfo) -> None:
        self._path, self._info = clip.path, info
        self._resampler = av.AudioResampler("flt", None, info.rate)
        self._samples = self._clipped = 0
        self._peak = 0.0

    def measured(self, frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        """Measure packed audio as it passes by. Raises AudioInvalid."""
        for frame in frames:
            self._add(frame)
            yield frame

    def _add(self, frame: AudioFrame) -> None:
        for block in self._resampler.resample(frame):
            level = np.abs(block.to_ndarray())
            if not np.isfinite(level).all():
                seconds = self._samples / self._info.rate
                raise AudioInvalid(f"{self._path}: the audio contains NaN or infinite samples at {seconds:.1f} s")
            self._samples += block.samples
            self._peak = max(self._peak, float(level.max(initial=0)))
            self._clipped += int((level >= FULL_SCALE).sum())

    def stats(self, allow_clipped: bool) -> AudioStats:
        duration = Fraction(self._samples, self._info.rate)
        if duration < MIN_SECONDS:
            raise AudioTooShort(
                f"{self._path}: the audio is too short ({float(duration) * 1000:.0f} ms); "
                f"at least {float(MIN_SECONDS) * 1000:.0f} ms are needed"
            )
        clipped_share = self._clipped / max(1, self._samples * self._info.channels)
        if clipped_share > MAX_CLIPPED_SHARE and not allow_clipped:
            raise AudioClipped(
                f"{self._path}: {clipped_share:.0%} of the audio is clipped. Use --allow-clipped to process it anyway"
            )
        return AudioStats(duration - self._info.padding, self._peak, clipped_share)
