"""PyAV frames that share memory with NumPy arrays, to avoid copies."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame

from lipsync.types import Frame, Plane


def planes_of(frame: VideoFrame) -> list[Plane]:
    """Return the planes of a planar frame as views, (height, width) each: uint8, or uint16 above 8 bits per sample."""
    deep = max(component.bits for component in frame.format.components) > 8
    views: list[Plane] = []
    for plane in frame.planes:
        samples = cast(Any, plane)  # a buffer; Python 3.11 has no type for it
        rows: Plane = np.frombuffer(samples, np.uint16) if deep else np.frombuffer(samples, np.uint8)
        views.append(rows.reshape(plane.height, -1)[:, : plane.width])
    return views


def frame_of(frame: Frame) -> VideoFrame | None:
    """Return a yuv420p frame of the same memory; None unless the planes form one block of 8-bit 4:2:0 samples.

    Also None if the height is not a multiple of 4: PyAV would take the block for a frame of another height.
    """
    height, width = frame.y.shape
    block = frame.y.base
    if block is None or frame.u.base is not block or frame.depth != 8 or height % 4 or width % 2:
        return None
    if block.shape != (height * width * 3 // 2,):
        return None
    return VideoFrame.from_numpy_buffer(block.reshape(height * 3 // 2, width), "yuv420p")
