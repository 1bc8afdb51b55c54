"""What an engine changed, written down and read back."""

from __future__ import annotations

import io

import numpy as np
import pytest

from lipsync.enhancers.base import EditedFrame
from lipsync.errors import DiskFull, InferenceFailed
from lipsync.frames.planes import writable_copy
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.types import Colour, Frame


def picture(index: int, depth: int = 8, size: tuple[int, int] = (64, 96)) -> Frame:
    dice = np.random.default_rng(index)
    kind = np.uint8 if depth == 8 else np.uint16
    half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    planes = [dice.integers(16, 235 << (depth - 8), shape).astype(kind) for shape in (size, half, half)]
    return Frame(index, *planes, depth, Colour())


def edited(before: Frame, rows: slice, columns: slice) -> EditedFrame:
    after = writable_copy(before)
    after.y[rows, columns] ^= 5
    after.u[rows.start // 2, columns.start // 2] ^= 3
    return EditedFrame(after, before, True)


@pytest.mark.parametrize(("depth", "size"), [(8, (64, 96)), (10, (64, 96)), (8, (65, 97))])
def test_what_was_recorded_comes_back_to_the_bit_and_the_footage_stays(depth, size):
    footage = [picture(k, depth, size) for k in range(4)]
    frames = [
        edited(footage[0], slice(10, 30), slice(21, 40)),
        EditedFrame(footage[1], footage[1], False),
        edited(footage[2], slice(60, size[0]), slice(90, size[1])),
        EditedFrame(writable_copy(footage[3]), footage[3], True),
    ]
    kept = [writable_copy(before) for before in footage]
    spool = EditSpool(io.BytesIO())
    assert list(spool.record(iter(frames))) == frames
    replayed = list(spool.replay(iter(footage)))
    assert [frame.edited for frame in replayed] == [True, False, True, False]
    for frame, made, before in zip(replayed, frames, kept, strict=True):
        for plane in "yuv":
            assert np.array_equal(getattr(frame.after, plane), getattr(made.after, plane))
            assert np.array_equal(getattr(frame.before, plane), getattr(before, plane))
    assert spool.edited == 3


def test_it_can_be_replayed_more_than_once():
    before = picture(0)
    spool = EditSpool(io.BytesIO())
    list(spool.record([edited(before, slice(0, 8), slice(0, 8))]))
    first, second = (next(iter(spool.replay([before]))) for _ in range(2))
    assert np.array_equal(first.after.y, second.after.y)


def test_more_frames_than_were_made_are_told():
    spool = EditSpool(io.BytesIO())
    list(spool.record([]))
    with pytest.raises(InferenceFailed, match="more frames"):
        list(spool.replay([picture(0)]))


def test_a_full_disk_costs_no_frame_and_is_told_when_the_frames_are_wanted_again():
    frames = [edited(picture(k), slice(0, 32), slice(0, 32)) for k in range(3)]
    with open("/dev/full", "r+b", buffering=0) as full:
        spool = EditSpool(full)
        assert list(spool.record(frames)) == frames
        assert spool.edited == 3
        with pytest.raises(DiskFull):
            next(spool.replay([frame.before for frame in frames]))
