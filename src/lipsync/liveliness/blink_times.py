"""When the eyes blink, and how far the upper lids are closed in each frame.

The intervals between blinks are log-normal: skewed, like those of people in conversation (Bentivoglio et al., "Analysis
of blink rate patterns in normal subjects", Movement Disorders 12(6), 1997), but slightly longer on average. The lids
close faster than they open (Evinger, Manning and Sibony, "Eyelid movements: mechanisms and normal data", Investigative
Ophthalmology & Visual Science 32(2), 1991).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from statistics import NormalDist
from typing import Final

MEDIAN_SECONDS: Final = 3.0  # from one blink to the next
SPREAD: Final = 0.45  # standard deviation of the interval's logarithm; the mean interval is then 3.3 s
MIN_SECONDS, MAX_SECONDS = 1.0, 8.0
CLOSING, CLOSED, OPENING = 0.1, 0.04, 0.2  # seconds


def lid_closures(seed: int, rate: Fraction) -> Iterator[float]:
    """Yield how far the upper lids are closed in each frame, 0 open to 1 closed, without end.

    Equal seeds give equal blinks. Every blink has a frame with the eyes closed, at any ``rate`` (frames/s).
    """
    draw = Random(seed)
    moment = round(draw.uniform(MIN_SECONDS, MEDIAN_SECONDS) * rate)  # first frame with the eyes closed
    following = moment + _interval_frames(draw, rate)
    frame = 0
    while True:
        while (frame - moment) / rate > CLOSED + OPENING:
            moment, following = following, following + _interval_frames(draw, rate)
        yield lid_closure(float((frame - moment) / rate))
        frame += 1


def lid_closure(seconds: float) -> float:
    """How far the lids are closed ``seconds`` after they first were closed; negative before: 0 open to 1 closed."""
    if seconds < 0:
        return _eased(1 + seconds / CLOSING)
    return _eased(1 - (seconds - CLOSED) / OPENING)


def _interval_frames(draw: Random, rate: Fraction) -> int:
    quantile = min(max(draw.random(), 1e-6), 1 - 1e-6)
    seconds = MEDIAN_SECONDS * math.exp(SPREAD * NormalDist().inv_cdf(quantile))
    return round(min(max(seconds, MIN_SECONDS), MAX_SECONDS) * rate)


def _eased(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)
