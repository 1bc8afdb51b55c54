from __future__ import annotations

import numpy as np
import pytest

from lipsync.frames.patch import box_around, quantise, read_patch, warp_frame, write_patch
from lipsync.frames.planes import writable_copy
from lipsync.types import Box, Colour, Frame


@pytest.fixture(params=[8, 10])
def frame(request) -> Frame:
    random, unit = np.random.default_rng(0), 1 << (request.param - 8)
    kind = np.uint8 if request.param == 8 else np.uint16
    planes = [random.integers(16 * unit, 235 * unit, size, kind) for size in ((90, 121), (45, 61), (45, 61))]
    return Frame(0, *planes, request.param, Colour())


def test_a_box_around_points_is_even_and_inside_the_frame(frame):
    assert box_around(np.array([[11.5, 20], [30, 41]], np.float32), 3, frame) == Box(8, 16, 34, 44)
    assert box_around(np.array([[-5, -5], [300, 300]], np.float32), 0, frame) == Box(0, 0, 121, 90)
    assert box_around(np.array([[200, 10], [210, 20]], np.float32), 2, frame) is None


def test_writing_an_unchanged_patch_changes_nothing(frame):
    box, copy = Box(10, 20, 121, 80), writable_copy(frame)
    patch = read_patch(copy, box)
    write_patch(copy, box, patch, patch)
    for plane in "yuv":
        assert np.array_equal(getattr(copy, plane), getattr(frame, plane))


def test_an_edited_patch_changes_only_its_box(frame):
    box, copy = Box(10, 20, 60, 80), writable_copy(frame)
    before = read_patch(copy, box)
    after = quantise(before.astype(np.float32) * 0.5, frame.depth)
    write_patch(copy, box, before, after)
    assert np.array_equal(copy.y[box.luma], after[..., 0])
    outside = np.ones(frame.y.shape, bool)
    outside[box.luma] = False
    assert np.array_equal(copy.y[outside], frame.y[outside])
    assert (copy.u[box.chroma] < frame.u[box.chroma]).all()


def test_replaced_pixels_keep_nothing_of_the_old_chroma(frame):
    box, copy = Box(10, 20, 60, 80), writable_copy(frame)
    before = read_patch(copy, box)
    after = np.full_like(before, 100)
    write_patch(copy, box, before, after, np.ones(before.shape[:2], np.float32))
    assert (copy.u[box.chroma] == 100).all()
    assert (copy.v[box.chroma] == 100).all()


def test_quantising_rounds_and_clips(frame):
    top = (1 << frame.depth) - 1
    assert quantise(np.array([[[-5, 1.6, 5000]]], np.float32), frame.depth).tolist() == [[[0, 2, top]]]


def test_warping_moves_pixels_within_the_box(frame):
    box, copy = Box(10, 20, 60, 80), writable_copy(frame)
    x, y = np.meshgrid(np.arange(50, dtype=np.float32), np.arange(60, dtype=np.float32))
    warp_frame(copy, box, np.stack([x + 4, y], -1))
    assert np.array_equal(copy.y[20:80, 10:56], frame.y[20:80, 14:60])
    assert np.array_equal(copy.v[10:40, 5:28], frame.v[10:40, 7:30])
    assert np.array_equal(copy.y[:, 60:], frame.y[:, 60:])
