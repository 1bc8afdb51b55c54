"""The generated face put into the frame: enlarged as smoothly as it is, matched in colour, shown from lips to jaw."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.wav2lip.crop import SIDE, Crop
from lipsync.faces.geometry import JAW, eye_distance
from lipsync.frames.blend import colour_shift, edge_ramp, outline_mask
from lipsync.frames.patch import box_around, quantise, read_patch, write_patch
from lipsync.frames.rgb import rgb_matrix, ycbcr_matrix
from lipsync.types import Box, Float32, Frame

Float64 = NDArray[np.float64]

LOWER_JAW = JAW[2:-2]  # from below one ear to below the other
UNDER_NOSE = (205, 2, 425)  # from one cheek to the other, right below the nose
ROOM, FEATHER = 0.04, 0.05  # eye distances: how far the shown part reaches beyond the jaw, and how soft its edge is
RIM = 4  # pixels of the generator's picture, at its edge, that fade


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a generated face goes. ``outline`` (n, 2): what is shown of it, in pixels of the frame; ``softness`` of its
    edge, pixels; ``strength`` 0..1: how much of it is shown."""

    crop: Crop
    outline: Float32
    softness: float
    strength: float


def place_of(crop: Crop, points: Float32, strength: float) -> Placement:
    """The place for a face whose mesh (>= 468, 2) is known, in pixels."""
    unit = eye_distance(points)
    jaw, upper = points[list(LOWER_JAW)], points[list(UNDER_NOSE)]
    middle = upper[1]
    away = jaw - middle
    reach = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-3)
    outline = np.concatenate([jaw + away / reach * (ROOM * unit), upper])
    return Placement(crop, outline.astype(np.float32), max(0.6, FEATHER * unit), strength)


def place_in_box(crop: Crop) -> Placement:
    """The place for a face of which nothing is known but its box: the lower half, rounded like a jaw."""
    angles = np.linspace(0, np.pi, 24)
    oval = np.stack([0.5 + 0.44 * np.cos(angles), 0.55 + 0.38 * np.sin(angles)], 1) * SIDE
    matrix = crop.matrix()
    outline = oval @ matrix[:, :2].T + matrix[:, 2]
    return Placement(crop, outline.astype(np.float32), max(0.6, 0.03 * crop.height), 1.0)


def compose(picture: Frame, made: Float32, place: Placement) -> bool:
    """Put a generated face (3, 96, 96), BGR in 0..1, into the picture. Returns whether anything changed."""
    box = box_around(place.outline, 3 * place.softness, picture)
    if box is None:
        return False
    before = read_patch(picture, box)
    around = np.asarray(before, np.float32)
    look, seen = _enlarged(made, place.crop, box, picture)
    shape = np.asarray(outline_mask(place.outline, box, place.softness) * seen, np.float32)
    look = look + colour_shift(around, look, shape, picture.depth)
    mask = shape * np.float32(place.strength)
    after = quantise(around + (look - around) * mask[..., None], picture.depth)
    write_patch(picture, box, before, after, mask)
    return bool((after != before).any())


def _enlarged(made: Float32, crop: Crop, box: Box, picture: Frame) -> tuple[Float32, Float32]:
    """The face in the box, (h, w, 3) Y'CbCr code values as floats, and how much of it there is, (h, w) in 0..1."""
    to_rgb = rgb_matrix(picture.colour, picture.y.shape[0], picture.depth)
    rgb = np.ascontiguousarray(made[::-1].transpose(1, 2, 0))
    coded = np.asarray(cv2.transform(rgb, ycbcr_matrix(to_rgb)), np.float32)
    where = np.asarray(cv2.invertAffineTransform(crop.matrix()), np.float64)
    where[:, 2] += where[:, :2] @ [box.left, box.top]
    coded, scaled = _not_finer(coded, crop, where)
    size = (box.width, box.height)
    look = cv2.warpAffine(
        coded, scaled, size, flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    seen = cv2.warpAffine(_rim(), where, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(look, np.float32), np.asarray(seen, np.float32)


def _not_finer(coded: Float32, crop: Crop, where: Float64) -> tuple[Float32, Float64]:
    """The face with no more pixels than its box in the frame, areas averaged, and the map (2, 3) to go with it."""
    size = min(SIDE, max(1, round(crop.width))), min(SIDE, max(1, round(crop.height)))
    if size == (SIDE, SIDE):
        return coded, where
    share = np.array(size)[:, None] / SIDE
    scaled = where * share
    scaled[:, 2:] += (share - 1) / 2
    return np.asarray(cv2.resize(coded, size, interpolation=cv2.INTER_AREA), np.float32), scaled


def _rim() -> Float32:
    line = edge_ramp(SIDE, RIM)
    return np.minimum(line[:, None], line[None])
