"""Blend the generated face into the frame: resampled smoothly, matched in colour, visible from the lips to the jaw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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

LOWER_JAW: Final = JAW[2:-2]  # from below one ear to below the other
UNDER_NOSE: Final = (205, 2, 425)  # from one cheek to the other, below the nose
JAW_MARGIN: Final = 0.04  # eye distances by which the visible area extends past the jaw
FEATHER: Final = 0.05  # eye distances
MIN_FEATHER_PIXELS: Final = 0.6
EDGE_FADE_PIXELS: Final = 4  # of the generated image, at its border


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a generated face goes in the frame.

    ``outline`` (n, 2): its visible area in pixels of the frame; ``feather``: the softness of that area's edge in
    pixels; ``strength``: its opacity in 0..1.
    """

    crop: Crop
    outline: Float32
    feather: float
    strength: float


def placement_on_face(crop: Crop, points: Float32, strength: float) -> Placement:
    """The placement on a face whose mesh (>= 468, 2) is known, in pixels."""
    unit = eye_distance(points)
    jaw, upper = points[list(LOWER_JAW)], points[list(UNDER_NOSE)]
    outward = jaw - upper[1]
    length = np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-3)
    outline = np.concatenate([jaw + outward / length * (JAW_MARGIN * unit), upper])
    return Placement(crop, outline.astype(np.float32), max(MIN_FEATHER_PIXELS, FEATHER * unit), strength)


def placement_in_box(crop: Crop) -> Placement:
    """The placement on a face known only by its box: the lower half, rounded like a jaw."""
    angles = np.linspace(0, np.pi, 24)
    oval = np.stack([0.5 + 0.44 * np.cos(angles), 0.55 + 0.38 * np.sin(angles)], 1) * SIDE
    matrix = crop.matrix()
    outline = oval @ matrix[:, :2].T + matrix[:, 2]
    return Placement(crop, outline.astype(np.float32), max(MIN_FEATHER_PIXELS, 0.03 * crop.height), 1.0)


def compose(frame: Frame, generated: Float32, placement: Placement) -> bool:
    """Blend a generated face (3, 96, 96), BGR in 0..1, into the frame in place. Returns whether any pixel changed."""
    box = box_around(placement.outline, 3 * placement.feather, frame)
    if box is None:
        return False
    before = read_patch(frame, box)
    background = np.asarray(before, np.float32)
    face, coverage = _resample(generated, placement.crop, box, frame)
    shape = np.asarray(outline_mask(placement.outline, box, placement.feather) * coverage, np.float32)
    face = face + colour_shift(background, face, shape, frame.depth)
    mask = shape * np.float32(placement.strength)
    after = quantise(background + (face - background) * mask[..., None], frame.depth)
    write_patch(frame, box, before, after, mask)
    return bool((after != before).any())


def _resample(generated: Float32, crop: Crop, box: Box, frame: Frame) -> tuple[Float32, Float32]:
    """The face in the box, (h, w, 3) Y'CbCr code values, and its coverage (h, w) in 0..1."""
    to_rgb = rgb_matrix(frame.colour, frame.y.shape[0], frame.depth)
    rgb = np.ascontiguousarray(generated[::-1].transpose(1, 2, 0))
    coded = np.asarray(cv2.transform(rgb, ycbcr_matrix(to_rgb)), np.float32)
    matrix = np.asarray(cv2.invertAffineTransform(crop.matrix()), np.float64)
    matrix[:, 2] += matrix[:, :2] @ [box.left, box.top]
    coded, face_matrix = _shrink_to_crop(coded, crop, matrix)
    size = (box.width, box.height)
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(coded, face_matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    coverage = cv2.warpAffine(_edge_mask(), matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(face, np.float32), np.asarray(coverage, np.float32)


def _shrink_to_crop(coded: Float32, crop: Crop, matrix: Float64) -> tuple[Float32, Float64]:
    """Average the face down if its crop has fewer pixels, against aliasing; also adapts the map (2, 3)."""
    size = min(SIDE, max(1, round(crop.width))), min(SIDE, max(1, round(crop.height)))
    if size == (SIDE, SIDE):
        return coded, matrix
    share = np.array(size)[:, None] / SIDE
    scaled = matrix * share
    scaled[:, 2:] += (share - 1) / 2
    return np.asarray(cv2.resize(coded, size, interpolation=cv2.INTER_AREA), np.float32), scaled


def _edge_mask() -> Float32:
    line = edge_ramp(SIDE, EDGE_FADE_PIXELS)
    return np.minimum(line[:, None], line[None])
