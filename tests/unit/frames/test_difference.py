"""The mask and the box of the pixels that differ between two frames."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.frames.difference import changed_box, changed_mask
from lipsync.frames.planes import writable_copy
from lipsync.types import Box, Colour, Frame


@pytest.fixture
def frame() -> Frame:
    dice = np.random.default_rng(0)
    planes = [dice.integers(16, 235, size, np.uint8) for size in ((90, 120), (45, 60), (45, 60))]
    return Frame(0, *planes, 8, Colour())


def test_the_box_holds_every_changed_sample_and_is_even(frame):
    after = writable_copy(frame)
    after.y[31:40, 51:61] ^= 1
    assert changed_box(frame, after) == Box(50, 30, 62, 40)


def test_chroma_counts_as_well(frame):
    after = writable_copy(frame)
    after.v[10, 20] ^= 1
    assert changed_box(frame, after) == Box(40, 20, 42, 22)


def test_equal_frames_have_no_changed_box(frame):
    assert changed_box(frame, writable_copy(frame)) is None


def test_a_change_at_the_edge_of_an_odd_frame_stays_inside():
    y, u = np.zeros((33, 35), np.uint8), np.zeros((17, 18), np.uint8)
    before = Frame(0, y, u, u.copy(), 8, Colour())
    after = writable_copy(before)
    after.y[32, 34] = 9
    assert changed_box(before, after) == Box(34, 32, 35, 33)


def test_the_mask_is_one_inside_fades_to_the_edge_and_is_zero_outside(frame):
    after = writable_copy(frame)
    after.y[20:60, 30:90] ^= 1
    after.y[40, 60] = frame.y[40, 60]  # by chance the same
    mask = changed_mask(frame, after, Box(20, 10, 100, 70), softness=6.0)
    assert mask.shape == (60, 80)
    assert mask[30, 40] == 1.0
    assert not mask[:10].any()
    assert not mask[:, 70:].any()
    line = mask[30, 10:18]
    assert 0 < line[0] < line[3] < line[6] <= 1
