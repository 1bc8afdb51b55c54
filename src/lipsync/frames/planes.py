"""Copies of planar frames in memory that one encoder call can take."""

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


def writable_copy(picture: Frame) -> Frame:
    """The same picture in memory of its own, writable."""
    y, u, v = contiguous_copy([picture.y, picture.u, picture.v])
    return replace(picture, y=y, u=u, v=v)
