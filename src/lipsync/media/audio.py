"""Sound for the engines, and whether it is fit for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from lipsync.errors import MediaTruncated, SoundClipped, SoundInvalid, SoundTooShort
from lipsync.media.probe import audio_of, open_media
from lipsync.types import Clip, Float32

SPEECH_RATE = 16_000
SHORTEST = Fraction(1, 25)
CLIPPED = 0.1  # share of samples at full scale from which sound counts as distorted
FULL_SCALE = 0.999


@dataclass(frozen=True, slots=True)
class Sound:
    duration: Fraction
    peak: float
    clipped_share: float


def speech_blocks(clip: Clip, seconds: float = 1.0) -> Iterator[Float32]:
    """The sound as mono float32 at 16 kHz, in blocks."""
    audio_of(clip)
    resampler = av.AudioResampler("flt", "mono", SPEECH_RATE, frame_size=int(SPEECH_RATE * seconds))
    with open_media(clip.path) as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            for out in resampler.resample(frame):
                yield out.to_ndarray()[0]
        for out in resampler.resample(None):
            yield out.to_ndarray()[0]


def check_sound(clip: Clip, *, allow_clipped: bool) -> Sound:
    info = audio_of(clip)
    samples, peak, clipped = 0, 0.0, 0
    resampler = av.AudioResampler("flt", None, info.rate)
    try:
        with open_media(clip.path) as container:
            for frame in container.decode(audio=0):
                frame.pts = None
                for out in resampler.resample(frame):
                    block = np.abs(out.to_ndarray())
                    if not np.isfinite(block).all():
                        raise SoundInvalid(f"{clip.path}: not a number in the sound at {samples / info.rate:.1f} s")
                    samples += out.samples
                    peak = max(peak, float(block.max(initial=0)))
                    clipped += int((block >= FULL_SCALE).sum())
    except av.error.FFmpegError as exc:
        raise MediaTruncated(f"{clip.path}: the sound cannot be decoded") from exc
    duration = Fraction(samples, info.rate)
    if duration < SHORTEST:
        raise SoundTooShort(f"{clip.path}: {float(duration) * 1000:.0f} ms of sound are too short")
    share = clipped / max(1, samples * info.channels)
    if share > CLIPPED and not allow_clipped:
        raise SoundClipped(f"{clip.path}: {share:.0%} of the sound is clipped; --allow-clipped uses it all the same")
    return Sound(duration, peak, share)
