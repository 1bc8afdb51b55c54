from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.donors import Donor
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.engines.rewrite.typical_lips import MIN_MOUTHS, lip_shades, with_lip_costs

UNIT = 150.0


@pytest.fixture
def donor(canonical):
    """A function that makes a donor whose lips have a light that rises by ``slope`` and a dark ``line`` below them."""

    def make(slope: float, line: int = 0, gap: float = 0.0) -> Donor:
        mesh = open_lips(close_lips(canonical), gap)[:, :2]
        points = ((mesh - mesh[13]) * UNIT + (80, 50)).astype(np.float32)
        luma = 90 + slope * np.arange(100)[:, None] + np.zeros((1, 160))
        luma[58:61] -= line
        patch = np.dstack([luma, np.full_like(luma, 120), np.full_like(luma, 150)]).astype(np.uint8)
        lips = measure_lips(points, UNIT)
        return Donor(Mouth(patch, lips, points), np.zeros((21, 2), np.float32), lips.gap)

    return make


def test_lips_with_a_second_line_cost_more(donor):
    usual = [donor(0.5 + 0.02 * k, 5 * (k % 3)) for k in range(6)]
    costs = [d.cost for d in with_lip_costs([*usual, donor(0.5, line=60)])]
    assert min(costs) == 0
    assert costs[-1] > 2 * max(costs[:-1])
    assert costs[-1] > 0.01


def test_at_least_half_of_the_usual_lips_cost_nothing(donor):
    costs = [d.cost for d in with_lip_costs([donor(0.3 + 0.05 * k, 6 * (k % 3)) for k in range(8)])]
    assert costs.count(0) >= 4


def test_open_mouths_cost_nothing(donor):
    donors = [donor(0.5 + 0.02 * k, 5 * (k % 3)) for k in range(6)]
    assert with_lip_costs([*donors, donor(0.5, line=60, gap=0.2)])[-1].cost == 0


def test_a_few_mouths_say_nothing(donor):
    assert all(d.cost == 0 for d in with_lip_costs([donor(0.1 * k, 20 * k) for k in range(1, MIN_MOUTHS)]))


def test_brighter_light_does_not_change_the_shades(donor):
    dim, bright = donor(0.4), donor(0.8)
    assert np.abs(lip_shades(dim.mouth) - lip_shades(bright.mouth)).mean() < 0.1
