"""Sound for the engines, and whether it is fit for them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout

from lipsync.errors import SoundClipped, SoundInvalid, SoundTooShort
from lipsync.media.decoding import decoded
from lipsync.media.probe import audio_of, open_media
from lipsync.types import Clip, Float32

SPEECH_RATE = 16_000
SHORTEST = Fraction(1, 25)
CLIPPED = 0.1  # share of samples at full scale from which sound counts as distorted
FULL_SCALE = 0.999


@dataclass(frozen=True, slots=True)
class Sound:
    """What listening through found: ``duration`` in seconds, ``peak`` of full scale, share of samples at full scale."""

    duration: Fraction
    peak: float
    clipped_share: float


def resampled(
    clip: Clip, form: str | AudioFormat, layout: str | AudioLayout | None, rate: int, size: int | None = None
) -> Generator[AudioFrame, None, None]:
    """The clip's sound from its first sample on, in a sample format, layout and rate; ``size``: samples a frame.

    Raises NoAudioStream, MediaTruncated, and what ``open_media`` raises.
    """
    audio_of(clip)
    resampler = av.AudioResampler(form, layout, rate, frame_size=size)
    with open_media(clip.path) as container:
        for frame in decoded(clip.path, container, container.streams.audio[0], AudioFrame):
            frame.pts = None  # else a gap in the file's times would be filled or cut
            yield from resampler.resample(frame)
        yield from resampler.resample(None)


def speech_blocks(clip: Clip, seconds: float = 1.0) -> Generator[Float32, None, None]:
    """The sound as mono float32 (n,) at 16 kHz, in blocks of ``seconds``."""
    with closing(resampled(clip, "flt", "mono", SPEECH_RATE, int(SPEECH_RATE * seconds))) as frames:
        for frame in frames:
            yield np.asarray(frame.to_ndarray()[0], np.float32)


def check_sound(clip: Clip, *, allow_clipped: bool) -> Sound:
    """Listen through the sound once, as it is in the file.

    Raises NoAudioStream, MediaTruncated, SoundInvalid, SoundTooShort, and SoundClipped unless it is allowed.
    """
    info = audio_of(clip)
    samples, peak, clipped = 0, 0.0, 0
    with closing(resampled(clip, "flt", None, info.rate)) as frames:
        for frame in frames:
            block = np.abs(frame.to_ndarray())
            if not np.isfinite(block).all():
                raise SoundInvalid(f"{clip.path}: not a number in the sound at {samples / info.rate:.1f} s")
            samples += frame.samples
            peak = max(peak, float(block.max(initial=0)))
            clipped += int((block >= FULL_SCALE).sum())
    duration = Fraction(samples, info.rate)
    if duration < SHORTEST:
        raise SoundTooShort(f"{clip.path}: {float(duration) * 1000:.0f} ms of sound are too short")
    share = clipped / max(1, samples * info.channels)
    if share > CLIPPED and not allow_clipped:
        raise SoundClipped(f"{clip.path}: {share:.0%} of the sound is clipped; --allow-clipped uses it all the same")
    return Sound(duration, peak, share)
