"""Find the constant rate at which frames with given times are best shown.

Recordings of browsers, phones and screens have uneven times: frames jitter, are left out, or come at another pace for a
while. A rate is chosen that a good part of the frames keep up, so that frames are rather repeated than dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]

NTSC_RATES = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120, 240))
COMMON_RATES = (
    *(Fraction(n) for n in (24, 25, 30, 48, 50, 60, 72, 75, 90, 100, 120, 144, 200, 240, 300, 480, 960)),
    *NTSC_RATES,
)
SLOW_RATES = (*map(Fraction, (5, 6, 8, 10, 12, 15, 20)), Fraction(25, 2))  # of web cameras and screen recordings
MIN_RATE, MAX_RATE = Fraction(1), Fraction(960)
DEFAULT_RATE = Fraction(25)  # for files without a frame rate
SNAP_TOLERANCE = Fraction(1, 500)  # relative deviation at which a measured rate becomes a common one
ROUGH_TOLERANCE = Fraction(1, 30)  # the same for uneven times
NEARBY = 0.01  # relative deviation of the rates that are tried for times that merely jitter
SHARE = 0.25  # of the frames that must keep up a rate
SPREAD, SMOOTH_SPREAD = 1.06, 1.12  # ratio of intervals that count as equal, before and after smoothing
CLOSE = 1.08  # ratio of intervals whose mean is taken
APART = 1.3  # ratio of intervals that belong to different rates
SMOOTHED = 8  # intervals that are averaged where they jitter


def snap_rate(
    rate: Fraction, tolerance: Fraction = SNAP_TOLERANCE, rates: Iterable[Fraction] = COMMON_RATES
) -> Fraction:
    """Return the common frame rate close to a measured one, else the rate itself."""
    nearest = min(rates, key=lambda common: abs(common - rate))
    return nearest if abs(nearest - rate) <= tolerance * nearest else rate


def constant_rate(times: Seconds, stated: Sequence[Fraction]) -> tuple[Fraction, float] | None:
    """Return the rate at which each frame has a place of its own, in order, and the time of the first place.

    ``times``: (n,), seconds, rising from 0. ``stated``: the rates that the container states, best guess first. None if
    no rate does.
    """
    places = np.arange(len(times))
    for rate in (*map(snap_rate, stated), *_common_rates_near(times), *stated):
        if MIN_RATE <= rate <= MAX_RATE:
            late = times * float(rate) - places
            if np.abs(late).max() < 0.5:
                return rate, 0.0
            if np.ptp(late) < 1:
                return rate, float(late.min() + late.max()) / 2 / float(rate)
    return None


def prevalent_rate(times: Seconds) -> Fraction:
    """Return the fastest rate that a good part of the frames keep up, within MIN_RATE..MAX_RATE."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return DEFAULT_RATE
    smooth = (times[SMOOTHED:] - times[:-SMOOTHED]) / SMOOTHED if len(times) > 2 * SMOOTHED else steps
    smooth = smooth[smooth > 0]
    peaks = _peaks(steps, SPREAD) or _peaks(smooth, SMOOTH_SPREAD) or [float(np.median(steps))]
    step = min(peaks)
    close = [some[(some > step / CLOSE) & (some < step * CLOSE)] for some in (smooth, steps)]
    members = next((some for some in close if len(some)), np.array([step]))
    rate = Fraction(1 / float(members.mean())).limit_denominator(1001)
    rate = snap_rate(rate, ROUGH_TOLERANCE, (*COMMON_RATES, *SLOW_RATES))
    return min(max(rate, MIN_RATE), MAX_RATE)


def _common_rates_near(times: Seconds) -> list[Fraction]:
    """The common rates close to the average one, nearest first."""
    if len(times) < 2 or times[-1] <= 0:
        return []
    average = (len(times) - 1) / times[-1]
    near = [rate for rate in COMMON_RATES if abs(float(rate) / average - 1) < NEARBY]
    return sorted(near, key=lambda rate: abs(float(rate) - average))


def _peaks(steps: Seconds, spread: float) -> list[float]:
    """The intervals, in seconds, that at least SHARE of all are about as long as."""
    left, peaks = np.sort(steps), list[float]()
    while len(left) >= SHARE * len(steps):
        within = np.searchsorted(left, left * spread, "right") - np.searchsorted(left, left / spread)
        best = int(within.argmax())
        if within[best] < SHARE * len(steps):
            break
        middle = float(left[best])
        peaks.append(middle)
        left = left[(left < middle / APART) | (left > middle * APART)]
    return peaks
