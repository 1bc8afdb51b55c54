"""How the head moves over time: a slow sway, nod and tilt, and a nod on stressed syllables.

Each motion is a sum of sinusoids of incommensurate low frequencies, so that it is smooth, bounded and never repeats
noticeably. Speakers move their heads slowly, below 1.8 Hz, and on stress faster (Hadar et al., "Kinematics of head
movements accompanying speech during conversation", Human Movement Science 2(1-2), 1983); only the slow part is made.
"""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.types import Float32

# Largest excursion of each motion: yaw, pitch (down) and roll in radians, then right and down in eye distances.
EXCURSION: Final = (0.055, 0.035, 0.022, 0.035, 0.022)
FREQUENCIES: Final = (0.09, 0.17, 0.29, 0.47)  # Hz, each varied by up to a tenth
PITCH, NOD = 1, 0.6  # the motion that follows the voice, and its extent in the unit of ``EXTENT``
EXTENT: Final = 0.7  # root mean square of a motion, before the limit, as a share of its largest excursion
ONSET_SECONDS: Final = 1.5  # the head starts from where the photo shows it


class Sway:
    """The motion of one head. Equal seeds give equal motion."""

    def __init__(self, seed: int) -> None:
        draw, shape = Random(seed), (len(EXCURSION), len(FREQUENCIES))
        varied = [[f * draw.uniform(0.9, 1.1) for f in FREQUENCIES] for _ in EXCURSION]
        self._speeds = 2 * np.pi * np.array(varied)
        self._phases = np.array([draw.uniform(0, 2 * np.pi) for _ in range(shape[0] * shape[1])]).reshape(shape)
        weights = 1 / self._speeds
        self._weights = EXTENT * weights / np.sqrt((weights**2).sum(1, keepdims=True) / 2)

    def at(self, seconds: float, emphasis: float = 0.0) -> Float32:
        """The head's excursion (5,) as ``EXCURSION`` lists it, which it never exceeds; zero at the start.

        ``emphasis``: of the voice, -1..1; the head nods on it.
        """
        waves: NDArray[np.float64] = (self._weights * np.sin(self._speeds * seconds + self._phases)).sum(1)
        waves[PITCH] += NOD * emphasis
        values = np.array(EXCURSION) * np.tanh(waves)  # the limit is soft, so that no motion stops abruptly
        onset = min(seconds / ONSET_SECONDS, 1.0)
        return np.asarray(values * (onset**3 * (onset * (6 * onset - 15) + 10)), np.float32)
