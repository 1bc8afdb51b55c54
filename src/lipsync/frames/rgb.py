"""Small RGB views of a planar frame, without converting all of it.

Chroma samples sit where MPEG-2, H.264 and HEVC place them by default: on every other column of luma samples, half-way
between two rows.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.types import Box, Colour, Float32, Frame, Plane

LUMA_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # H.273 matrix number: (Kr, Kb)
LUMA_WEIGHTS_SD = (0.299, 0.114)
UNSPECIFIED, BT601 = 2, 6  # H.273 matrix numbers
HD_LINES = 720
THUMBNAIL_SIDE = 32


def warp_rgb(frame: Frame, matrix: Float32, size: tuple[int, int], fine: bool = False) -> Float32:
    """Return an affine view of the frame as RGB (height, width, 3) float32, 0..1.

    ``matrix`` (2, 3) maps pixels of the view to pixels of the frame; ``size`` is (width, height). Downscaling by two or
    more averages areas first, so that fine texture does not alias. By default chroma has half the view's resolution
    and pixels outside the frame are black; ``fine`` samples chroma in full and repeats the frame's edge.
    """
    if fine:
        luma = _warp(frame.y, matrix, size)
        to_chroma = np.asarray(np.column_stack([matrix[:, :2], matrix[:, 2] - [0, 0.5]]) / 2, np.float32)
        chroma = [_warp(plane, to_chroma, size) for plane in (frame.u, frame.v)]
    else:
        black, grey = _black_and_grey(frame)
        luma = _warp(frame.y, matrix, size, black)
        half_size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        to_chroma = _chroma_matrix(matrix)
        chroma = [upsample_chroma(_warp(plane, to_chroma, half_size, grey), size) for plane in (frame.u, frame.v)]
    return _to_rgb([luma, *chroma], frame)


def letterbox_rgb(frame: Frame, side: int, box: Box | None = None) -> tuple[Float32, Float32]:
    """Fit a box of the frame (default: all of it) into a black square: RGB (side, side, 3) float32, 0..1.

    Also returns the matrix (2, 3) that maps pixels of the square to pixels of the frame. Downscaling averages areas.
    """
    height, width = frame.y.shape
    box = box or Box(0, 0, width, height)
    box = Box(box.left // 2 * 2, box.top // 2 * 2, box.right, box.bottom)
    scale = max(box.width, box.height) / side
    wide, high = max(1, round(box.width / scale)), max(1, round(box.height / scale))
    planes = [_resize(frame.y[box.luma], (wide, high))]
    planes += [_resize(plane[box.chroma], (wide, high)) for plane in (frame.u, frame.v)]
    square = np.zeros((side, side, 3), np.float32)
    x, y = (side - wide) // 2, (side - high) // 2
    square[y : y + high, x : x + wide] = _to_rgb(planes, frame)
    step_x, step_y = box.width / wide, box.height / high
    to_frame = [
        [step_x, 0, box.left + (0.5 - x) * step_x - 0.5],
        [0, step_y, box.top + (0.5 - y) * step_y - 0.5],
    ]
    return square, np.asarray(to_frame, np.float32)


def luma_thumbnail(frame: Frame) -> Float32:
    """Return the luma as (32, 32) float32 in 8-bit code values, whatever the frame's aspect ratio."""
    height, width = frame.y.shape
    row_step, column_step = max(1, height // (4 * THUMBNAIL_SIDE)), max(1, width // (4 * THUMBNAIL_SIDE))
    rows = frame.y[::row_step].copy()  # whole rows: gathering single samples from cold memory is ten times slower
    sparse = np.asarray(rows[:, ::column_step], np.float32)
    small = cv2.resize(sparse, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small / (1 << (frame.depth - 8)), np.float32)


def rgb_matrix(colour: Colour, lines: int, depth: int) -> Float32:
    """Return the affine map (3, 4) from Y'CbCr code values to RGB 0..1 (ITU-T H.273: BT.601, BT.709, BT.2020).

    ``lines``: height of the frame in pixels, which decides between BT.601 and BT.709 if the matrix is unspecified.
    """
    weights = LUMA_WEIGHTS_SD
    if colour.matrix in LUMA_WEIGHTS or (colour.matrix == UNSPECIFIED and lines >= HD_LINES):
        weights = LUMA_WEIGHTS.get(colour.matrix, LUMA_WEIGHTS[1])
    red, blue = weights
    green = 1 - red - blue
    unit = 1 << (depth - 8)
    max_code = (1 << depth) - 1
    offset, luma, chroma = (0, max_code, max_code) if colour.full_range else (16 * unit, 219 * unit, 224 * unit)
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


def ycbcr_matrix(to_rgb: Float32) -> NDArray[np.float64]:
    """Invert the affine map (3, 4) of ``rgb_matrix``: from RGB 0..1 to Y'CbCr code values."""
    inverse = np.linalg.inv(to_rgb[:, :3].astype(np.float64))
    return np.column_stack([inverse, -inverse @ to_rgb[:, 3]])


def upsample_chroma(plane: Plane, size: tuple[int, int]) -> Plane:
    """Interpolate a chroma plane to twice its size and cut it to ``size`` (width, height)."""
    even = (plane.shape[1] * 2, plane.shape[0] * 2)
    return cast(Plane, cv2.resize(plane, even, interpolation=cv2.INTER_LINEAR)[: size[1], : size[0]])


def _black_and_grey(frame: Frame) -> tuple[int, int]:
    """Code values of black luma and of neutral chroma."""
    unit = 1 << (frame.depth - 8)
    return (0 if frame.colour.full_range else 16 * unit), 128 * unit


def _chroma_matrix(matrix: Float32) -> Float32:
    """Map pixels of a half-size view to chroma samples."""
    linear = matrix[:, :2].astype(np.float64)
    shift = (matrix[:, 2] + linear @ [0.5, 0.5] - [0, 0.5]) / 2
    return np.column_stack([linear, shift]).astype(np.float32)


def _warp(plane: Plane, matrix: Float32, size: tuple[int, int], outside: int | None = None) -> Plane:
    """``outside``: code value beyond the plane; None repeats its edge."""
    plane, matrix = _downscaled(plane, matrix, size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    edge = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    warped = cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=edge, borderValue=(outside or 0,))
    return cast(Plane, warped)


def _downscaled(plane: Plane, matrix: Float32, size: tuple[int, int]) -> tuple[Plane, Float32]:
    """Average the part of the plane that the view shows by a whole factor; also return the adapted matrix."""
    factor = int(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < 2:
        return plane, matrix
    corners = np.array([[0, 0, 1], [size[0], 0, 1], [0, size[1], 1], [size[0], size[1], 1]], np.float32) @ matrix.T
    height, width = plane.shape
    low = np.clip(np.floor(corners.min(0)) - factor, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + factor, 0, (width, height)).astype(int)
    columns, rows = (high - low) // factor
    if columns < 1 or rows < 1:
        return plane, matrix
    section = plane[low[1] : low[1] + rows * factor, low[0] : low[0] + columns * factor]
    small = cv2.resize(section, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
    scaled = matrix / factor
    scaled[:, 2] = (matrix[:, 2] - low + 0.5) / factor - 0.5
    return cast(Plane, small), np.asarray(scaled, np.float32)


def _resize(plane: Plane, size: tuple[int, int]) -> Plane:
    smaller = plane.shape[1] >= size[0] and plane.shape[0] >= size[1]
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))


def _to_rgb(planes: list[Plane], frame: Frame) -> Float32:
    stacked = cv2.merge(planes)
    matrix = rgb_matrix(frame.colour, frame.y.shape[0], frame.depth)
    if frame.depth == 8:  # bytes are cheaper, and cv2.transform clips them
        return np.multiply(cv2.transform(stacked, matrix * 255), np.float32(1 / 255), dtype=np.float32)
    rgb = cv2.transform(stacked.astype(np.float32), matrix)
    return np.asarray(np.clip(rgb, 0, 1, out=rgb), np.float32)
