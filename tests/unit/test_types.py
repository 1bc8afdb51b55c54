from __future__ import annotations

import numpy as np

from lipsync.types import Box

BOX = Box(11, 20, 31, 45)


def test_a_box_has_a_size_and_slices():
    assert (BOX.width, BOX.height) == (20, 25)
    plane = np.zeros((60, 60))
    assert plane[BOX.luma].shape == (25, 20)
    assert BOX.chroma == (slice(10, 23), slice(5, 16))


def test_a_box_grows_to_even_corners_and_is_clipped():
    assert BOX.grown(3) == Box(8, 17, 34, 48)
    assert BOX.even() == Box(10, 20, 32, 46)
    assert Box(-4, 50, 30, 90).intersection(Box(0, 0, 20, 60)) == Box(0, 50, 20, 60)


def test_a_box_locates_itself_in_an_array_of_another():
    outer = np.arange(60 * 60).reshape(60, 60)
    covered = outer[Box(5, 10, 55, 60).luma]
    assert np.array_equal(covered[BOX.within(Box(5, 10, 55, 60))], outer[BOX.luma])
