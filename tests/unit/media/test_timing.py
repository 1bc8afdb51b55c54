from __future__ import annotations

from fractions import Fraction

import pytest

from lipsync.media.timing import snap_rate


@pytest.mark.parametrize(
    ("measured", "common"),
    [("2997/100", "30000/1001"), ("2998/100", "30000/1001"), ("30", "30"), ("1000/33", "1000/33"), ("15", "15")],
)
def test_a_measured_rate_snaps_to_the_nearest_common_one(measured, common):
    assert snap_rate(Fraction(measured)) == Fraction(common)
