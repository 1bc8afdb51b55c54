"""PyAV frames: their memory as NumPy arrays, without copies, and whether players mirror them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from lipsync.types import Frame, Plane

DISPLAY_MATRIX = "DISPLAYMATRIX"
UNNAMED = range(28, 32)  # FFmpeg's side data, such as Exif, that PyAV cannot name: beside it, reading any kind fails


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
    if frame.alpha is not None or block.shape != (height * width * 3 // 2,):
        return None
    return VideoFrame.from_numpy_buffer(block.reshape(height * 3 // 2, width), "yuv420p")


def is_mirrored(frame: VideoFrame) -> bool:
    """Return whether players flip the frame top to bottom before they rotate it by ``frame.rotation``."""
    try:
        matrix = _display_matrix(frame)
    except ValueError:
        matrix = _display_matrix(_without_unnamed(frame))
    return matrix is not None and int(matrix[0]) * int(matrix[4]) < int(matrix[1]) * int(matrix[3])


def _display_matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """The (9,) matrix of the display, fixed-point. Raises ValueError for side data that PyAV cannot name."""
    data = cast(Any, frame.side_data.get(DISPLAY_MATRIX))
    return None if data is None else np.frombuffer(data, np.int32)


def _without_unnamed(frame: VideoFrame) -> VideoFrame:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
    )
    deletions = [graph.add("sidedata", f"mode=delete:type={number}") for number in UNNAMED]
    graph.link_nodes(source, *deletions, graph.add("buffersink")).configure()
    graph.push(frame)
    return cast(VideoFrame, graph.pull())
