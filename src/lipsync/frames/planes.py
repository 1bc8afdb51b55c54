"""Copy planar frames into one block of memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lipsync.types import Frame, Plane


def contiguous_copy(planes: list[Plane]) -> list[Plane]:
    """Copy planes into one writable block of memory, which PyAV can wrap without another copy."""
    block = np.empty(sum(plane.size for plane in planes), planes[0].dtype)
    copies: list[Plane] = []
    for plane in planes:
        copies.append(block[: plane.size].reshape(plane.shape))
        copies[-1][:] = plane
        block = block[plane.size :]
    return copies


def writable_copy(frame: Frame) -> Frame:
    """Copy a frame into new, writable memory."""
    y, u, v = contiguous_copy([frame.y, frame.u, frame.v])
    return replace(frame, y=y, u=u, v=v, alpha=None if frame.alpha is None else frame.alpha.copy())
