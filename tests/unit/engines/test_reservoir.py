from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.reservoir import Reservoir


def sample(count: int, size: int = 20) -> Reservoir[int]:
    reservoir = Reservoir[int](size)
    for item in range(count):
        reservoir.offer(lambda item=item: item)
    return reservoir


def test_a_short_stream_is_kept_whole_and_in_order():
    assert sample(20).items == list(range(20))
    assert sample(3).items == [0, 1, 2]


def test_a_long_stream_is_sampled_evenly_and_repeatably():
    reservoir = sample(20_000, 1000)
    assert reservoir.count == 20_000
    assert len(set(reservoir.items)) == 1000
    assert np.mean(reservoir.items) == pytest.approx(10_000, rel=0.05)
    assert reservoir.items == sample(20_000, 1000).items


def test_items_that_are_not_kept_are_never_made():
    created = []
    reservoir = Reservoir[None](5)
    for item in range(500):
        reservoir.offer(lambda item=item: created.append(item))
    assert len(reservoir.items) == 5
    assert len(created) < 60
