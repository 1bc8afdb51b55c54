"""PyAV frames that share memory with our arrays, so that pixels are not copied on the way."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame

from lipsync.types import Frame, Plane


def planes_of(frame: VideoFrame) -> list[Plane]:
    """The planes of a planar frame, (height, width) each: uint8, or uint16 where its format holds more than 8 bits."""
    deep = max(component.bits for component in frame.format.components) > 8
    views: list[Plane] = []
    for plane in frame.planes:
        samples = cast(Any, plane)  # a buffer, which Python 3.11 has no type for
        rows: Plane = np.frombuffer(samples, np.uint16) if deep else np.frombuffer(samples, np.uint8)
        views.append(rows.reshape(plane.height, -1)[:, : plane.width])
    return views


def frame_of(picture: Frame) -> VideoFrame | None:
    """The picture as a frame of the same memory; None if its planes don't lie in one block of 8-bit 4:2:0.

    Heights that are no multiple of 4 neither: PyAV takes the block for that of a picture two rows lower.
    """
    height, width = picture.y.shape
    block = picture.y.base
    if block is None or picture.u.base is not block or picture.depth != 8 or height % 4 or width % 2:
        return None
    if block.shape != (height * width * 3 // 2,):
        return None
    return VideoFrame.from_numpy_buffer(block.reshape(height * 3 // 2, width), "yuv420p")
