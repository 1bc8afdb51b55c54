"""How the footage shows this face: colours, the light's direction, blur and grain. A drawn mouth has to match them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, MESH, Pose
from lipsync.frames.patch import box_around, read_patch
from lipsync.types import Box, Float32, Frame, Plane

_FOREHEAD: Final = (10, 151, 9, 108, 337, 69, 299, 67, 297, 109, 338)
_NOSE: Final = (4, 5, 195, 197, 6, 45, 275, 220, 440, 51, 281)
_SIDES: Final = (50, 101, 205, 36, 187, 123, 116, 117, 118, 147, 213, 192, 207, 135, 138)
_OTHER_SIDES: Final = (280, 330, 425, 266, 411, 352, 345, 346, 347, 376, 433, 416, 427, 364, 367)
_CHIN: Final = (199, 175, 200, 18, 83, 313, 152)
_SKIN: Final = np.array(_FOREHEAD + _NOSE + _SIDES + _OTHER_SIDES + _CHIN)  # without eyes, brows and lips
CHEEKS: Final = (50, 101, 205, 280, 330, 425)
RIGHT_EYE_RING: Final = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE_RING: Final = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
WHITE_PERCENTILE: Final = 92  # of the luma between the eyelids: the white of the eyes
EYE_TO_ENAMEL, SKIN_TO_ENAMEL = 1.2, 1.02  # the luma of teeth in the same light, from that of eyes and skin
ENAMEL_CHROMA: Final = 0.55  # share of the skin's chroma that teeth have, as the light's colour tints both
MAX_ENAMEL: Final = 225.0  # code value at 8 bits
LIGHT_RIDGE: Final = 8.0  # points' worth of belief in even light
MAX_GRADIENT: Final = 0.6  # of the light over a turn of the surface by one radian
REBLUR: Final = 1.5  # pixels
SHARPEST: Final = 97  # percentile of the gradients that counts as edges
MIN_BLUR, MAX_BLUR = 0.5, 6.0  # pixels


@dataclass(frozen=True, slots=True)
class Appearance:
    """``skin``, ``lips``, ``enamel`` and ``black`` (3,): Y'CbCr code values. ``light`` (3,): see ``light_gradient``.

    ``blur``: sigma of the sharpest edges, in eye distances. ``grain``: standard deviation of the luma's noise.
    """

    skin: Float32
    lips: Float32
    enamel: Float32
    black: Float32
    light: Float32
    blur: float
    grain: float


def vertex_normals(mesh: Float32, triangles: NDArray[np.int32]) -> Float32:
    """The outward normals (468, 3) of a mesh (468, 3) with ``triangles`` (n, 3)."""
    corners = mesh[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centre = mesh.mean(0) + np.array([0, 0, 0.5])
    faces *= np.sign(((corners.mean(1) - centre) * faces).sum(1))[:, None]
    normals = np.zeros_like(mesh)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9), np.float32)


def measure_appearance(frame: Frame, points: Float32, pose: Pose, normals: Float32) -> Appearance:
    """Measure one frame. A face out of view gets the colours of the frame's nearest edge.

    ``points`` (>= 468, >= 2) in pixels; ``normals`` (468, 3): of the canonical face.
    """
    height, width = frame.y.shape
    box = box_around(points[:MESH, :2], 2, frame) or Box(0, 0, width, height)
    patch = read_patch(frame, box)
    own = points[:MESH, :2] - np.array([box.left, box.top], np.float32)
    unit, black = float(pose.scale[0]), black_of(frame)
    skin, lips = _mean_at(patch, own, CHEEKS), _lip_colour(patch, own)
    luma = cast(Plane, np.ascontiguousarray(patch[..., 0]))
    blur, grain = blur_and_grain(luma, own, unit)
    enamel = enamel_colour(skin, _white(luma, own), black)
    light = light_gradient(_at(luma, own[_SKIN]) - black[0], (normals @ pose.rotation[0].T)[_SKIN])
    return Appearance(skin, lips, enamel, black, light, blur / unit, grain)


def mean_appearance(measured: Sequence[Appearance]) -> Appearance:
    """The median of several measurements of one video."""
    skin, lips, enamel, black, light = (
        np.asarray(np.median(np.stack([getattr(one, part) for one in measured]), 0), np.float32)
        for part in ("skin", "lips", "enamel", "black", "light")
    )
    blur, grain = (float(np.median([getattr(one, part) for one in measured])) for part in ("blur", "grain"))
    return Appearance(skin, lips, enamel, black, light, blur, grain)


def black_of(frame: Frame) -> Float32:
    """The code values (3,) of black in a frame: no luma and no chroma."""
    return np.array([0 if frame.colour.full_range else 16, 128, 128], np.float32) * np.float32(1 << (frame.depth - 8))


def enamel_colour(skin: Float32, white: float, black: Float32) -> Float32:
    """The colour of teeth, (3,), beside ``skin`` (3,) and eyes whose white has the luma ``white``.

    Teeth and eyes are white, so they share the light's tint; skin that is darker than the eyes says less about it.
    """
    luma = black[0] + max(EYE_TO_ENAMEL * (white - black[0]), SKIN_TO_ENAMEL * float(skin[0] - black[0]))
    chroma = black[1:] + (skin[1:] - black[1:]) * ENAMEL_CHROMA
    return np.array([min(float(luma), MAX_ENAMEL * float(black[1]) / 128), *chroma], np.float32)


def light_gradient(values: Float32, normals: Float32) -> Float32:
    """How the luma of the skin changes with its normal, (3,), as a share of that of skin that faces the camera.

    ``values`` (n,): luma above black; ``normals`` (n, 3): in the frame. First-order spherical harmonics, which explain
    87 % of Lambertian reflection (Basri and Jacobs, "Lambertian reflectance and linear subspaces", PAMI 25(2), 2003).
    Hair, brows and shadows are outliers, so the fit is repeated without the points that it explains worst.
    """
    terms = np.column_stack([np.ones(len(normals)), normals[:, :2], normals[:, 2] + 1])
    ridge = np.diag([0, 1, 1, 1]) * LIGHT_RIDGE
    kept = np.ones(len(values), bool)
    for _ in range(4):
        fit = np.linalg.solve(terms[kept].T @ terms[kept] + ridge, terms[kept].T @ values[kept])
        error = np.abs(terms @ fit - values)
        kept = error <= np.median(error[kept]) * 2 + 1e-6
    return np.asarray(np.clip(fit[1:] / max(float(fit[0]), 1.0), -MAX_GRADIENT, MAX_GRADIENT), np.float32)


def shading(light: Float32, normals: Float32) -> Float32:
    """The light on surfaces with ``normals`` (..., 3) in the frame, relative to one that faces the camera, (...)."""
    turned = normals[..., 0] * light[0] + normals[..., 1] * light[1] + (normals[..., 2] + 1) * light[2]
    return np.asarray(np.clip(1 + turned, 0.35, 1.4), np.float32)


def blur_and_grain(luma: Plane, points: Float32, unit: float) -> tuple[float, float]:
    """Sigma in pixels of the sharpest edges of eyes and mouth, and the standard deviation of the skin's noise.

    Edges lose contrast when they are blurred again, the more the sharper they are: Zhuo and Sim, "Defocus map
    estimation from a single image", Pattern Recognition 44(9), 2011. Noise: Immerkaer, "Fast noise variance
    estimation", Computer Vision and Image Understanding 64(2), 1996, on the cheeks.
    """
    image = np.asarray(luma, np.float32)
    again = cv2.GaussianBlur(image, (0, 0), REBLUR)
    sharp, soft = (
        np.hypot(cv2.Sobel(one, cv2.CV_32F, 1, 0), cv2.Sobel(one, cv2.CV_32F, 0, 1)) for one in (image, again)
    )
    ratios = []
    for ring in (LIPS_OUTER, RIGHT_EYE_RING, LEFT_EYE_RING):
        rows, columns = _ring_box(points[list(ring)], luma, unit)
        edges, blurred = sharp[rows, columns].ravel(), soft[rows, columns].ravel()
        if edges.size:
            strong = edges >= max(float(np.percentile(edges, SHARPEST)), 1.0)
            ratios.append(float(np.median(edges[strong] / np.maximum(blurred[strong], 1e-3))) if strong.any() else 1.0)
    ratio = max(ratios, default=2.0)
    blur = REBLUR / np.sqrt(max(ratio**2 - 1, (REBLUR / MAX_BLUR) ** 2))
    return float(np.clip(blur, MIN_BLUR, MAX_BLUR)), _noise(image, points, unit)


def _noise(image: Float32, points: Float32, unit: float) -> float:
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    size = max(4, int(0.1 * unit))
    values = []
    for x, y in np.maximum(points[list(CHEEKS)], 0).astype(int):
        cheek = image[max(y - size, 0) : y + size, max(x - size, 0) : x + size]
        if min(cheek.shape) >= 4:
            response = np.abs(cv2.filter2D(cheek, -1, kernel)[1:-1, 1:-1]).mean()
            values.append(float(response) * np.sqrt(np.pi / 2) / 6)
    return float(np.median(values)) if values else 0.0


def _ring_box(ring: Float32, luma: Plane, unit: float) -> tuple[slice, slice]:
    low = np.maximum(ring.min(0) - 0.03 * unit, 0).astype(int)
    high = np.maximum(ring.max(0) + 0.03 * unit, 0).astype(int) + 1
    return slice(low[1], high[1]), slice(low[0], high[0])


def _white(luma: Plane, points: Float32) -> float:
    """The luma of the white of the eyes."""
    mask = np.zeros(luma.shape, np.uint8)
    for ring in (RIGHT_EYE_RING, LEFT_EYE_RING):
        cv2.fillPoly(mask, [np.rint(points[list(ring)] * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    seen = luma[mask > 0]
    return float(np.percentile(seen, WHITE_PERCENTILE)) if seen.size else 0.0


def _lip_colour(patch: Plane, points: Float32) -> Float32:
    middle = np.asarray((points[list(LIPS_OUTER)] + points[list(LIPS_INNER)]) / 2, np.float32)
    return np.asarray(np.median(_at(patch, middle), 0), np.float32)


def _mean_at(patch: Plane, points: Float32, numbers: Sequence[int]) -> Float32:
    return np.asarray(_at(patch, points[list(numbers)]).mean(0), np.float32)


def _at(image: Plane, points: Float32) -> Float32:
    x = np.clip(points[:, 0], 0, image.shape[1] - 1).astype(int)
    y = np.clip(points[:, 1], 0, image.shape[0] - 1).astype(int)
    return np.asarray(image[y, x], np.float32)
