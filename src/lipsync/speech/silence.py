"""Detect silence in the audio."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

import numpy as np

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.features import HOP, features
from lipsync.types import Float32

# Levels are means of ``features`` over the bands: silence is about -1.4, the faintest consonants -0.7. Steady noise
# raises the threshold up to MAX_THRESHOLD, about 25 dB below the voice.
MIN_THRESHOLD, MAX_THRESHOLD = -1.1, -0.4
SPEECH_RANGE: Final = 0.4  # above the threshold, over which silence turns to speech
NOISE_PERCENTILE, NOISE_MARGIN = 5, 0.1  # the level of the noise, and the threshold above it
SPEECH_MARGIN_SECONDS: Final = 0.16  # around speech: mouths open before a sound and close after it
FADE_SECONDS: Final = 0.08
FEATURE_RATE: Final = SPEECH_RATE // HOP  # frames per second


def silence(blocks: Iterable[Float32], rate: Fraction, frames: int) -> Float32:
    """The degree of silence at each video frame, (frames,) in 0..1; 1 after the end of the audio.

    ``blocks``: mono 16 kHz audio in -1..1. Levels are relative to the voice's own level, as in ``features``.
    """
    level = np.concatenate([np.zeros(0, np.float32), *(piece.mean(1) for piece in features(blocks))])
    if not len(level):
        return np.ones(frames, np.float32)
    noise = float(np.percentile(level, NOISE_PERCENTILE))
    threshold = np.clip(noise + NOISE_MARGIN, MIN_THRESHOLD, MAX_THRESHOLD)
    speech = np.clip((level - threshold) / SPEECH_RANGE, 0, 1)
    margin, fade = round(SPEECH_MARGIN_SECONDS * FEATURE_RATE), round(FADE_SECONDS * FEATURE_RATE)
    padded = np.pad(speech, margin + fade)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * margin + 1).max(1)
    smooth = np.lib.stride_tricks.sliding_window_view(near, 2 * fade + 1).mean(1)
    positions = np.arange(frames) * float(FEATURE_RATE / rate)
    return np.asarray(1 - np.interp(positions, np.arange(len(smooth)), smooth, right=0), np.float32)
