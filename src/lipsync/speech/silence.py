"""Where nobody speaks."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from lipsync.speech.features import HOP, RATE, features
from lipsync.types import Float32

# Mean over the bands of ``features``: silence is about -1.4, the faintest consonants -0.7. Steady noise lifts what is
# taken for silence, at most to NOISIEST: about 25 dB below the voice.
QUIET, NOISIEST, RISE = -1.1, -0.4, 0.4
FLOOR, ABOVE = 5, 0.1  # percentile that tells the noise, and how much above it is still silence
REACH = 0.16  # seconds around speech that are not silent: mouths open before, and close after
FADE = 0.08  # seconds over which silence comes and goes
FEATURE_RATE = RATE // HOP


def silence(blocks: Iterable[Float32], rate: Fraction, frames: int) -> Float32:
    """How silent it is around each video frame, (frames,) in 0..1; 1 after the sound's end.

    ``blocks``: mono 16 kHz sound in -1..1, as for ``features``, which measure it against the voice's own level.
    """
    level = np.concatenate([np.zeros(0, np.float32), *(piece.mean(1) for piece in features(blocks))])
    if not len(level):
        return np.ones(frames, np.float32)
    floor = float(np.percentile(level, FLOOR))
    speech = np.clip((level - np.clip(floor + ABOVE, QUIET, NOISIEST)) / RISE, 0, 1)
    reach, fade = round(REACH * FEATURE_RATE), round(FADE * FEATURE_RATE)
    padded = np.pad(speech, reach + fade)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    soft = np.lib.stride_tricks.sliding_window_view(near, 2 * fade + 1).mean(1)
    places = np.arange(frames) * float(FEATURE_RATE / rate)
    return np.asarray(1 - np.interp(places, np.arange(len(soft)), soft, right=0), np.float32)
