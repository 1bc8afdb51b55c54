"""Small RGB views of a planar picture, without ever converting all of it.

Chroma is taken to lie where MPEG-2, H.264 and HEVC put it by default: on every other column of the luma samples, and
half-way between two rows.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np

from lipsync.types import Colour, Float32, Frame, Plane

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, the last two excluded

LUMA_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # H.273 matrix number: (Kr, Kb)
LUMA_WEIGHTS_SD = (0.299, 0.114)
UNSPECIFIED, BT601 = 2, 6  # H.273's numbers
HD_LINES = 720
THUMBNAIL = 32


def warp_rgb(picture: Frame, matrix: Float32, size: tuple[int, int], fine: bool = False) -> Float32:
    """A view of the picture as RGB (height, width, 3) float32, 0..1; black outside of the picture.

    ``matrix`` (2, 3) carries pixels of the view to pixels of the picture; ``size`` is (width, height). Shrinking by two
    or more averages areas first, so that fine texture does not alias. Colour has half the view's resolution. ``fine``:
    it has all of it, and outside of the picture its edge goes on.
    """
    black, grey = _code_values(picture)
    if fine:
        luma = _warp(picture.y, matrix, size)
        to_chroma = np.asarray(np.column_stack([matrix[:, :2], matrix[:, 2] - [0, 0.5]]) / 2, np.float32)
        chroma = [_warp(plane, to_chroma, size) for plane in (picture.u, picture.v)]
    else:
        luma = _warp(picture.y, matrix, size, black)
        half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        halved = _to_chroma(matrix)
        chroma = [upsample_chroma(_warp(plane, halved, half, grey), size) for plane in (picture.u, picture.v)]
    return _to_rgb([luma, *chroma], picture)


def shrink_rgb(picture: Frame, side: int, box: Box | None = None) -> tuple[Float32, Float32]:
    """A box of the picture (all of it by default), letterboxed into a square: RGB (side, side, 3) float32, 0..1.

    Also gives the matrix (2, 3) that carries pixels of the square to pixels of the picture. Areas are averaged.
    """
    height, width = picture.y.shape
    left, top, right, bottom = box or (0, 0, width, height)
    left, top = left // 2 * 2, top // 2 * 2
    scale = max(right - left, bottom - top) / side
    wide, high = max(1, round((right - left) / scale)), max(1, round((bottom - top) / scale))
    planes = [_shrink(picture.y[top:bottom, left:right], (wide, high))]
    half = slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2)
    planes += [_shrink(plane[half], (wide, high)) for plane in (picture.u, picture.v)]
    canvas = np.zeros((side, side, 3), np.float32)
    x, y = (side - wide) // 2, (side - high) // 2
    canvas[y : y + high, x : x + wide] = _to_rgb(planes, picture)
    step_x, step_y = (right - left) / wide, (bottom - top) / high
    to_picture = [
        [step_x, 0, left + (0.5 - x) * step_x - 0.5],
        [0, step_y, top + (0.5 - y) * step_y - 0.5],
    ]
    return canvas, np.asarray(to_picture, np.float32)


def luma_thumbnail(picture: Frame) -> Float32:
    """The picture's brightness as (32, 32) float32 in 8-bit code values, whatever the picture's proportions."""
    height, width = picture.y.shape
    rows, columns = max(1, height // (4 * THUMBNAIL)), max(1, width // (4 * THUMBNAIL))
    lines = picture.y[::rows].copy()  # in one go: single samples from all over cold memory take ten times as long
    sparse = np.asarray(lines[:, ::columns], np.float32)
    small = cv2.resize(sparse, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small / (1 << (picture.depth - 8)), np.float32)


def rgb_matrix(colour: Colour, lines: int, depth: int) -> Float32:
    """The affine map (3, 4) from Y'CbCr code values to RGB 0..1, by ITU-T H.273 (BT.601, BT.709, BT.2020)."""
    known = LUMA_WEIGHTS_SD
    if colour.matrix in LUMA_WEIGHTS or (colour.matrix == UNSPECIFIED and lines >= HD_LINES):
        known = LUMA_WEIGHTS.get(colour.matrix, LUMA_WEIGHTS[1])
    red, blue = known
    green = 1 - red - blue
    unit = 1 << (depth - 8)
    top = (1 << depth) - 1
    offset, luma, chroma = (0, top, top) if colour.full_range else (16 * unit, 219 * unit, 224 * unit)
    rows = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    rows = rows / [luma, chroma, chroma]
    shift = -rows @ [offset, 128 * unit, 128 * unit]
    return np.asarray(np.column_stack([rows, shift]), np.float32)


def _code_values(picture: Frame) -> tuple[int, int]:
    unit = 1 << (picture.depth - 8)
    return (0 if picture.colour.full_range else 16 * unit), 128 * unit


def _to_chroma(matrix: Float32) -> Float32:
    """From pixels of a view of half the size to samples of the chroma planes."""
    turn = matrix[:, :2].astype(np.float64)
    shift = (matrix[:, 2] + turn @ [0.5, 0.5] - [0, 0.5]) / 2
    return np.column_stack([turn, shift]).astype(np.float32)


def upsample_chroma(plane: Plane, size: tuple[int, int]) -> Plane:
    """A chroma plane at twice its size, interpolated, cut to ``size`` (width, height)."""
    even = (plane.shape[1] * 2, plane.shape[0] * 2)
    return _plane(cv2.resize(plane, even, interpolation=cv2.INTER_LINEAR)[: size[1], : size[0]])


def _warp(plane: Plane, matrix: Float32, size: tuple[int, int], outside: int | None = None) -> Plane:
    """``outside``: what lies around the plane; None: its edge goes on."""
    plane, matrix = _shrunk_to_fit(plane, matrix, size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    edge = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    return _plane(cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=edge, borderValue=(outside or 0,)))


def _shrunk_to_fit(plane: Plane, matrix: Float32, size: tuple[int, int]) -> tuple[Plane, Float32]:
    """The part of the plane that the view shows, averaged down by a whole number, and the matrix to go with it."""
    factor = int(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < 2:
        return plane, matrix
    corners = np.array([[0, 0, 1], [size[0], 0, 1], [0, size[1], 1], [size[0], size[1], 1]], np.float32) @ matrix.T
    rows, columns = plane.shape
    low = np.clip(np.floor(corners.min(0)) - factor, 0, (columns, rows)).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + factor, 0, (columns, rows)).astype(int)
    wide, high_ = (high - low) // factor
    if wide < 1 or high_ < 1:
        return plane, matrix
    part = plane[low[1] : low[1] + high_ * factor, low[0] : low[0] + wide * factor]
    small = cv2.resize(part, (int(wide), int(high_)), interpolation=cv2.INTER_AREA)
    fitted = matrix / factor
    fitted[:, 2] = (matrix[:, 2] - low + 0.5) / factor - 0.5
    return _plane(small), np.asarray(fitted, np.float32)


def _shrink(plane: Plane, size: tuple[int, int]) -> Plane:
    smaller = plane.shape[1] >= size[0] and plane.shape[0] >= size[1]
    return _plane(cv2.resize(plane, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))


def _to_rgb(planes: list[Plane], picture: Frame) -> Float32:
    stacked = cv2.merge(planes)
    matrix = rgb_matrix(picture.colour, picture.y.shape[0], picture.depth)
    if picture.depth == 8:  # in bytes: cheaper, and they clip by themselves
        return np.multiply(cv2.transform(stacked, matrix * 255), np.float32(1 / 255), dtype=np.float32)
    rgb = cv2.transform(stacked.astype(np.float32), matrix)
    return np.asarray(np.clip(rgb, 0, 1, out=rgb), np.float32)


def _plane(values: Any) -> Plane:
    """What OpenCV made of a plane, which has that plane's type."""
    return cast(Plane, values)
