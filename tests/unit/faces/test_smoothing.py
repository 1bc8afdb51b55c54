from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LIPS, STABLE, opening
from lipsync.faces.smoothing import local_fit, reach, smooth

RATE = Fraction(25)
IOD = 100.0


@pytest.fixture
def face() -> np.ndarray:
    points = np.random.default_rng(3).uniform(-80, 80, (478, 3)).astype(np.float32)
    points[33], points[263] = [-50, 0, 0], [50, 0, 0]
    points[INNER_TOP], points[INNER_BOTTOM] = [0, 60, 0], [0, 61, 0]
    return points


def noisy(points: np.ndarray, share: float = 0.004) -> np.ndarray:
    """Add the network's noise: the face trembles slightly, as a whole."""
    tremble = np.random.default_rng(4).normal(0, share * IOD, (len(points), 1, 3))
    return np.asarray(points + tremble, np.float32)


def shake(points: np.ndarray) -> float:
    return float(np.diff(points[:, list(STABLE), :2], 2, axis=0).std())


def test_a_still_head_is_smoothed(face):
    still = noisy(np.repeat(face[None], 80, 0))
    assert shake(smooth(still, face, RATE)) < 0.6 * shake(still)


def test_talking_lips_keep_their_opening(face):
    points = np.repeat(face[None], 100, 0)
    points[:, INNER_BOTTOM, 1] += 12 * (1 - np.cos(2 * np.pi * 4 * np.arange(100) / 25))
    lower = [i for i in LIPS if i % 2]
    points[:, lower, 1] += 12 * (1 - np.cos(2 * np.pi * 4 * np.arange(100) / 25))[:, None]
    given, smoothed = opening(points), opening(smooth(noisy(points), face, RATE))
    peaks = np.flatnonzero(given > 0.95 * given.max())
    assert np.abs(smoothed[peaks] / given[peaks] - 1).mean() < 0.03


def test_a_quick_nod_keeps_its_extent_and_time(face):
    nod = 30 * np.sin(2 * np.pi * 2 * np.arange(75) / 25)
    points = np.repeat(face[None], 75, 0)
    points[..., 1] += nod[:, None].astype(np.float32)
    smoothed = smooth(noisy(points), face, RATE)[:, list(STABLE), 1].mean(1) - face[list(STABLE), 1].mean()
    assert np.abs(smoothed - nod).max() < 0.02 * IOD
    lags = [np.corrcoef(smoothed[5:-5], np.roll(nod, lag)[5:-5])[0, 1] for lag in (-1, 0, 1)]
    assert int(np.argmax(lags)) == 1


def test_a_run_of_one_or_two_frames_is_unchanged(face):
    for count in (1, 2):
        points = noisy(np.repeat(face[None], count, 0))
        assert np.array_equal(smooth(points, face, RATE), points)


def test_a_fit_reproduces_polynomials_of_its_order():
    t = np.arange(20.0)
    rows = np.column_stack([t**2 - 3 * t, 5 - t])
    assert local_fit(rows, 4, 2) == pytest.approx(rows, abs=1e-3)
    assert local_fit(rows[:4], 4, 2) == pytest.approx(rows[:4], abs=1e-3)


def test_the_window_has_the_same_duration_at_every_rate():
    assert reach(Fraction(50)) == pytest.approx(2 * reach(Fraction(25)), abs=1)
    assert reach(Fraction(10)) >= 2
