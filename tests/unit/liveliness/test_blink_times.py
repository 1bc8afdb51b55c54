from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from lipsync.liveliness.blink_times import CLOSED, CLOSING, MAX_SECONDS, MIN_SECONDS, OPENING, lid_closure, lid_closures

RATE = Fraction(25)


def closures(seed: int, seconds: float, rate: Fraction = RATE) -> np.ndarray:
    return np.array(list(islice(lid_closures(seed, rate), round(seconds * rate))))


def starts(values: np.ndarray) -> np.ndarray:
    """The frames in which the eyes are first closed."""
    return np.flatnonzero((values[1:] == 1) & (values[:-1] < 1)) + 1


def test_equal_seeds_blink_alike_and_others_differ():
    assert np.array_equal(closures(3, 30), closures(3, 30))
    assert not np.array_equal(closures(3, 30), closures(4, 30))


@pytest.mark.parametrize("rate", [Fraction(8), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_every_blink_closes_the_eyes_and_they_rest_open(rate):
    values = closures(1, 120, rate)
    blinking = np.concatenate([[0], values > 0, [0]]).astype(int)
    for first, last in zip(np.flatnonzero(np.diff(blinking) > 0), np.flatnonzero(np.diff(blinking) < 0), strict=True):
        assert values[first:last].max() == 1
    assert np.median(values) == 0
    assert (values >= 0).all()


def test_lids_close_in_a_tenth_of_a_second_and_open_in_a_fifth():
    assert lid_closure(-CLOSING) == 0
    assert lid_closure(0) == lid_closure(CLOSED) == 1
    assert lid_closure(CLOSED + OPENING) == 0
    assert (CLOSING, OPENING) == (0.1, 0.2)
    times = np.linspace(-CLOSING, CLOSED + OPENING, 2001)
    assert np.abs(np.diff([lid_closure(t) for t in times])).max() < 0.003


def test_intervals_are_those_of_a_conversation():
    gaps = np.diff(starts(closures(5, 3600))) / float(RATE)
    assert 3.0 < gaps.mean() < 4.0
    assert gaps.min() >= MIN_SECONDS - 1 / 25
    assert gaps.max() <= MAX_SECONDS + 1 / 25
    assert gaps.std() > 1
    assert gaps.mean() > np.median(gaps)
