from __future__ import annotations

import pytest

from lipsync.engines.rewrite.animator import crossfade_weights


@pytest.mark.parametrize(
    ("index", "previous", "weights"),
    [
        (0, None, {0: 1.0}),
        (1, 0, {0: 0.75, 1: 0.25}),
        (2, 0, {0: 0.25, 1: 0.75}),
        (3, 1, {1: 1.0}),
        (0, 2, {2: 0.25, 0: 0.75}),
    ],
)
def test_a_change_of_donor_fades_over_two_frames(index, previous, weights):
    assert crossfade_weights([0, 0, 1, 1], index, previous) == weights
