from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame

from lipsync.frames.planes import writable_copy
from lipsync.media.video_frames import frame_of, planes_of
from lipsync.types import Colour, Frame


def grey(width: int, height: int, depth: int = 8) -> Frame:
    kind, half = (np.uint8 if depth == 8 else np.uint16), ((height + 1) // 2, (width + 1) // 2)
    return Frame(
        0, np.full((height, width), 90, kind), np.full(half, 91, kind), np.full(half, 92, kind), depth, Colour()
    )


def test_a_contiguous_frame_is_wrapped_without_a_copy():
    frame = writable_copy(grey(64, 48))
    wrapped = frame_of(frame)
    assert [int(plane[5, 5]) for plane in planes_of(wrapped)] == [90, 91, 92]
    frame.y[5, 5] = 200
    assert int(planes_of(wrapped)[0][5, 5]) == 200


@pytest.mark.parametrize("frame", [grey(64, 48), writable_copy(grey(64, 50)), writable_copy(grey(64, 48, 10))])
def test_other_frames_cannot_be_wrapped(frame):
    assert frame_of(frame) is None


@pytest.mark.parametrize(("pixel_format", "kind"), [("yuv420p", np.uint8), ("yuv420p10le", np.uint16)])
def test_planes_are_views_in_the_depth_of_the_format(pixel_format, kind):
    planes = planes_of(VideoFrame(70, 50, pixel_format))
    assert [plane.shape for plane in planes] == [(50, 70), (25, 35), (25, 35)]
    assert {plane.dtype for plane in planes} == {np.dtype(kind)}
