from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines.hybrid.smoothing import half_window, smooth_motion
from lipsync.speech.motion import load_basis

RATE = Fraction(25)


@pytest.fixture(scope="module")
def basis():
    return load_basis()


def calm(rows, basis, piece=12):
    return np.concatenate(list(smooth_motion(iter(rows), basis, RATE, piece)))


def jitter(rows):
    return np.abs(np.diff(rows, 2, axis=0)).mean()


@pytest.mark.parametrize("count", [1, 2, 5, 12, 17, 40])
@pytest.mark.parametrize("piece", [1, 3, 12])
def test_the_chunk_size_does_not_matter(count, piece, basis):
    rows = np.random.default_rng(1).standard_normal((count, 12)).astype(np.float32)
    assert calm(rows, basis, piece).shape == rows.shape
    assert np.allclose(calm(rows, basis, piece), calm(rows, basis, 1000), atol=1e-4)


def test_noise_is_reduced(basis):
    noise = (np.random.default_rng(2).standard_normal((100, 12)) * 0.05).astype(np.float32)
    assert jitter(calm(noise, basis)) < 0.5 * jitter(noise)


def test_a_quick_opening_keeps_its_time_and_size(basis):
    rows = np.tile(basis.neutral, (60, 1))
    rows[30:33, 0] += 3
    result = calm(rows, basis)
    assert np.abs(result - rows).max() < 0.3


def test_it_reads_no_more_rows_ahead_than_documented(basis):
    taken = []

    def source():
        for k in range(100):
            taken.append(k)
            yield np.zeros(12, np.float32)

    given = 0
    for rows in smooth_motion(source(), basis, RATE, 4):
        given += len(rows)
        assert len(taken) <= given + half_window(RATE) + 1
