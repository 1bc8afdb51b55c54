"""How much the voice is stressed in each frame: speakers nod on stressed syllables.

After Munhall et al., "Visual prosody and speech intelligibility: Head movement improves auditory speech perception",
Psychological Science 15(2), 2004: head motion follows the amplitude and pitch of the voice. Here the loudness alone is
used, between the rate of phrases and that of syllables.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

import cv2
import numpy as np

from lipsync.speech.audio import SPEECH_RATE
from lipsync.types import Float32

STEP_SECONDS: Final = 0.02  # from one measurement of loudness to the next
STEP_SAMPLES: Final = round(SPEECH_RATE * STEP_SECONDS)
QUIET: Final = -45.0  # dB of full scale: whatever is quieter counts as silence
RANGE: Final = 10.0  # dB above the loudness around it that are full emphasis
STRESS_SECONDS, PHRASE_SECONDS = 0.18, 0.8  # standard deviations of the windows that are compared


def emphasis(blocks: Iterable[Float32], rate: Fraction) -> Float32:
    """Return the emphasis of each frame (n,): 0 in silence and steady speech, up to 1 on stress, down to -1 in pauses.

    ``blocks``: mono samples at 16 kHz, -1..1. ``rate``: frames/s.
    """
    loudness = _loudness(blocks)
    if not len(loudness):
        return np.zeros(0, np.float32)
    stress, phrase = (_smoothed(loudness, seconds) for seconds in (STRESS_SECONDS, PHRASE_SECONDS))
    times = np.arange(round(len(loudness) * STEP_SECONDS * rate)) / float(rate)
    steps = (np.arange(len(loudness)) + 0.5) * STEP_SECONDS
    return np.asarray(np.tanh(np.interp(times, steps, stress - phrase) / RANGE), np.float32)


def _loudness(blocks: Iterable[Float32]) -> Float32:
    """The loudness in dB of each step."""
    levels, rest = [np.zeros(0, np.float32)], np.zeros(0, np.float32)
    for block in blocks:
        samples = np.concatenate([rest, block])
        whole = len(samples) // STEP_SAMPLES * STEP_SAMPLES
        power = np.square(samples[:whole].reshape(-1, STEP_SAMPLES)).mean(1)
        levels.append(np.maximum(10 * np.log10(power + 1e-9), QUIET))
        rest = samples[whole:]
    return np.concatenate(levels).astype(np.float32)


def _smoothed(values: Float32, seconds: float) -> Float32:
    smooth = cv2.GaussianBlur(values[None], (0, 0), seconds / STEP_SECONDS, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth[0], np.float32)
