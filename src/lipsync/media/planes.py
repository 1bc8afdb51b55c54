"""A frame's planes as arrays that share its memory."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame

from lipsync.types import Plane


def planes_of(frame: VideoFrame) -> list[Plane]:
    """The planes of a planar frame, (height, width) each: uint8, or uint16 where its format holds more than 8 bits."""
    deep = max(component.bits for component in frame.format.components) > 8
    views: list[Plane] = []
    for plane in frame.planes:
        samples = cast(Any, plane)  # a buffer, which Python 3.11 has no type for
        rows: Plane = np.frombuffer(samples, np.uint16) if deep else np.frombuffer(samples, np.uint8)
        views.append(rows.reshape(plane.height, -1)[:, : plane.width])
    return views
