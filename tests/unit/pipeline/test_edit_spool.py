"""Recording and replaying of an engine's edits."""

from __future__ import annotations

import io

import numpy as np
import pytest

from lipsync.enhancers.base import EditedFrame
from lipsync.errors import DiskFull, InferenceFailed
from lipsync.frames.planes import writable_copy
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.types import Colour, Frame


def noise(index: int, depth: int = 8, size: tuple[int, int] = (64, 96)) -> Frame:
    random = np.random.default_rng(index)
    kind = np.uint8 if depth == 8 else np.uint16
    half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    planes = [random.integers(16, 235 << (depth - 8), shape).astype(kind) for shape in (size, half, half)]
    return Frame(index, *planes, depth, Colour())


def edited(before: Frame, rows: slice, columns: slice) -> EditedFrame:
    after = writable_copy(before)
    after.y[rows, columns] ^= 5
    after.u[rows.start // 2, columns.start // 2] ^= 3
    return EditedFrame(after, before, True)


@pytest.mark.parametrize(("depth", "size"), [(8, (64, 96)), (10, (64, 96)), (8, (65, 97))])
def test_replayed_edits_are_exact_and_source_frames_stay_unchanged(depth, size):
    source = [noise(k, depth, size) for k in range(4)]
    frames = [
        edited(source[0], slice(10, 30), slice(21, 40)),
        EditedFrame(source[1], source[1], False),
        edited(source[2], slice(60, size[0]), slice(90, size[1])),
        EditedFrame(writable_copy(source[3]), source[3], True),
    ]
    originals = [writable_copy(before) for before in source]
    spool = EditSpool(io.BytesIO())
    assert list(spool.record(iter(frames))) == frames
    replayed = list(spool.replay(iter(source)))
    assert [frame.edited for frame in replayed] == [True, False, True, False]
    for frame, recorded, before in zip(replayed, frames, originals, strict=True):
        for plane in "yuv":
            assert np.array_equal(getattr(frame.after, plane), getattr(recorded.after, plane))
            assert np.array_equal(getattr(frame.before, plane), getattr(before, plane))
    assert spool.edited == 3


def test_edits_can_be_replayed_more_than_once():
    before = noise(0)
    spool = EditSpool(io.BytesIO())
    list(spool.record([edited(before, slice(0, 8), slice(0, 8))]))
    first, second = (next(iter(spool.replay([before]))) for _ in range(2))
    assert np.array_equal(first.after.y, second.after.y)


def test_replaying_more_frames_than_were_recorded_fails():
    spool = EditSpool(io.BytesIO())
    list(spool.record([]))
    with pytest.raises(InferenceFailed, match="more frames"):
        list(spool.replay([noise(0)]))


def test_a_full_disk_loses_no_frame_and_fails_the_replay():
    frames = [edited(noise(k), slice(0, 32), slice(0, 32)) for k in range(3)]
    with open("/dev/full", "r+b", buffering=0) as full:
        spool = EditSpool(full)
        assert list(spool.record(frames)) == frames
        assert spool.edited == 3
        with pytest.raises(DiskFull):
            next(spool.replay([frame.before for frame in frames]))
