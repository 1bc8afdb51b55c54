from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.media.frame_rate import constant_rate, prevalent_rate, snap_rate

NTSC = Fraction(30000, 1001)


def paced(*parts: tuple[float, float]):
    """Times of frames that come at each rate for so many seconds, rounded to milliseconds."""
    steps = np.concatenate([np.full(round(rate * seconds), 1 / rate) for rate, seconds in parts])
    return np.round(np.concatenate([[0], np.cumsum(steps)]), 3)


@pytest.mark.parametrize(
    ("measured", "common"),
    [
        ("2997/100", "30000/1001"),
        ("2998/100", "30000/1001"),
        ("30", "30"),
        ("1000/33", "1000/33"),
        ("15", "15"),
        ("2497/100", "25"),
        ("23976/1000", "24000/1001"),
        ("23999/1000", "24"),
        ("2399/10", "240"),
        ("11988/100", "120000/1001"),
    ],
)
def test_a_measured_rate_snaps_to_the_nearest_common_one(measured, common):
    assert snap_rate(Fraction(measured)) == Fraction(common)


@pytest.mark.parametrize("rate", [12, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 100, 120, 240, 480])
def test_even_times_have_their_rate(rate):
    exact = snap_rate(Fraction(str(rate)))
    assert constant_rate(paced((float(exact), 8)), [exact]) == (exact, 0)


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60, 240])
@pytest.mark.parametrize("stated", [[], [Fraction(9000, 299)], [Fraction(1000)]])
def test_even_times_have_their_rate_even_if_the_container_states_another(rate, stated):
    assert constant_rate(paced((rate, 12)), stated) == (rate, 0)


@pytest.mark.parametrize("jitter", [0.004, 0.010, 0.016])
def test_each_frame_keeps_a_place_although_its_time_jitters(jitter):
    times = np.arange(300) / 30 + np.random.default_rng(4).uniform(-jitter, jitter, 300)
    times -= times[0]
    rate, first = constant_rate(times, [Fraction(9000, 299)])
    assert rate == 30
    assert np.array_equal(np.round((times - first) * 30), np.arange(300))


@pytest.mark.parametrize(
    ("parts", "rate"),
    [
        ([(8, 8), (30, 2)], 30),
        ([(30, 2), (8, 8)], 30),
        ([(30, 8), (8, 2)], 30),
        ([(30, 9), (60, 1)], 30),
        ([(24, 2), (30, 8)], 30),
        ([(24, 8), (30, 1)], 24),
        ([(15, 4), (25, 4)], 25),
        ([(240, 3), (30, 3)], 240),
        ([(59.94, 4), (10, 4)], 60),
        ([(8, 8), (7.9, 2)], 8),
    ],
)
def test_the_fastest_pace_that_a_good_part_keeps_up(parts, rate):
    times = paced(*parts)
    assert constant_rate(times, []) is None
    assert float(prevalent_rate(times)) == pytest.approx(rate, rel=0.002)


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
@pytest.mark.parametrize("missing", [0.02, 0.3])
def test_frames_that_were_left_out_do_not_slow_the_rest(rate, missing):
    random = np.random.default_rng(5)
    times = paced((rate, 10))
    times = np.concatenate([[0], times[1:][random.random(len(times) - 1) > missing]])
    assert float(prevalent_rate(times)) == pytest.approx(rate, rel=0.002)


def test_a_jittering_recording_with_gaps_has_its_nominal_rate():
    random = np.random.default_rng(6)
    times = np.arange(600) / 30 + random.uniform(-0.012, 0.012, 600)
    times[300:] += 2
    assert constant_rate(np.sort(times) - times.min(), []) is None
    assert prevalent_rate(np.sort(times)) == 30


def test_one_frame_has_a_default_rate():
    assert prevalent_rate(np.zeros(1)) == 25
