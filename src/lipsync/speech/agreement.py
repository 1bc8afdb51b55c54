"""Whether the sound of footage belongs to the mouth in its picture.

The motion that the sound predicts is compared with the tracked motion at several offsets. Music, dubbing and shifted
sound agree with the picture nowhere, or elsewhere. Comparing both at several offsets to judge synchrony follows
Hershey and Movellan, "Audio Vision: Using Audio-Visual Synchrony to Locate Sounds", NIPS 1999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.speech.motion import NETWORK_RATE
from lipsync.types import Float32

Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_SECONDS: Final = 2.5  # of speech with a tracked face; less cannot be judged
MAX_LAG, NEAR_LAG = 12, 2  # rows: the range in which sound and picture are compared, and the offset that is accepted
MIN_R, MIN_R_OF_SECOND = 0.4, 0.5  # Pearson's r of predicted and tracked opening: of long footage, and more in short
MIN_CONTRAST, MIN_CONTRAST_OF_SECOND = 0.15, 0.4  # the same for the height of its peak
FAR_LAG: Final = 6  # rows from the peak at which sound and picture cannot belong together
HALF_SHARE: Final = 0.5  # of r that each half of the footage must reach
VOICE_OPENING, VOICE_RANGE = 0.012, 0.02  # eye distances: predicted opening from which a moment counts as speech
VOICE_REACH, VOICE_FADE = 8, 3  # rows around speech that belong to it, and over which it fades
PAUSE_REACH: Final = 25  # rows around speech in which the mouth belongs to it, pauses included


@dataclass(frozen=True, slots=True)
class MouthMeasures:
    """The meaning of coefficients.

    ``measures`` (K, 2): how much each changes the lip opening and the mouth's width, in eye distances.
    ``neutral`` (K,): coefficients of the closed mouth.
    """

    measures: Float64
    neutral: Float32

    @property
    def opening(self) -> Float64:
        return np.asarray(self.measures[:, 0])

    @property
    def along(self) -> Float64:
        """Coefficients (2, K) that change one measure by 1 and not the other, likeliest if all vary equally."""
        return np.asarray(np.linalg.inv(self.measures.T @ self.measures) @ self.measures.T, np.float64)


@dataclass(frozen=True, slots=True)
class TalkingRows:
    """Footage in which the person talks, 25 rows a second.

    ``predicted`` (n, K): the model's coefficients for the footage's own sound, and its ``features`` (n, F), each with
    a standard deviation of about 1. ``tracked`` (n, K): coefficients of the face in the picture. ``seen`` (n,): rows
    whose face was tracked.
    """

    predicted: Float32
    features: Float32
    tracked: Float32
    seen: Bools


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well sound and picture belong together.

    ``r``: the highest Pearson's r of predicted and tracked opening; ``lag``: where it is, in rows by which the picture
    is behind; ``contrast``: how far it is above r at offsets that cannot be right; ``halves``: the lower r of the first
    and the second half, at this lag; ``seconds``: of speech.
    """

    r: float
    lag: int
    contrast: float
    halves: float
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the picture shows the mouth that speaks the sound. Short footage agrees by chance more easily."""
        doubt = 1 / np.sqrt(self.seconds)
        high = self.r >= MIN_R + MIN_R_OF_SECOND * doubt and self.halves >= HALF_SHARE * self.r
        return bool(
            abs(self.lag) <= NEAR_LAG and high and self.contrast >= MIN_CONTRAST + MIN_CONTRAST_OF_SECOND * doubt
        )


def voice(predicted: Float32, mouth: MouthMeasures) -> Float64:
    """How much each row of predicted motion (n, K) belongs to speech, (n,) in 0..1."""
    open_ = np.abs((predicted - mouth.neutral) @ mouth.opening)
    reach, fade = VOICE_REACH, VOICE_FADE
    near = np.lib.stride_tricks.sliding_window_view(np.pad(open_, reach + fade, mode="edge"), 2 * reach + 1).max(1)
    level = np.clip((near - VOICE_OPENING) / VOICE_RANGE, 0, 1)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(level, 2 * fade + 1).mean(1), np.float64)


def usable(rows: TalkingRows, mouth: MouthMeasures) -> Bools:
    """Rows whose face was tracked, in speech or a pause between words."""
    speech = voice(rows.predicted, mouth) > 0.5
    near = np.lib.stride_tricks.sliding_window_view(np.pad(speech, PAUSE_REACH), 2 * PAUSE_REACH + 1).max(1)
    return np.asarray(rows.seen & near)


def agreement(rows: TalkingRows, mouth: MouthMeasures) -> Agreement | None:
    """Compare predicted and tracked opening at several offsets; None if there is too little speech."""
    speech = usable(rows, mouth)
    if speech.sum() < MIN_SECONDS * NETWORK_RATE:
        return None
    predicted, tracked = rows.predicted @ mouth.opening, rows.tracked @ mouth.opening
    lags = range(-MAX_LAG, MAX_LAG + 1)
    r = np.array([_r_at(predicted, tracked, speech, lag) for lag in lags])
    best = int(np.argmax(r))
    far = np.abs(np.array(lags) - lags[best]) > FAR_LAG
    first = np.cumsum(speech) <= speech.sum() / 2
    halves = min(_r_at(predicted, tracked, speech & half, lags[best]) for half in (first, ~first))
    seconds = float(speech.sum()) / NETWORK_RATE
    return Agreement(float(r[best]), lags[best], float(r[best] - r[far].max()), halves, seconds)


def _r_at(predicted: Float64, tracked: Float64, usable: Bools, lag: int) -> float:
    """Pearson's r with the picture ``lag`` rows later."""
    first, last = max(0, -lag), len(predicted) - max(0, lag)
    both = usable[first:last] & usable[first + lag : last + lag]
    return pearson(predicted[first:last][both], tracked[first + lag : last + lag][both])


def pearson(one: Float64, other: Float64) -> float:
    if len(one) < 3:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))
