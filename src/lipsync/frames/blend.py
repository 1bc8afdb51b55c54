"""Blend a region into a frame without a visible seam."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.types import Box, Float32

MAX_COLOUR_SHIFT = 24.0  # code values at 8 bits
FINE_SIGMA = 1.0  # pixels: finer contrast is restored where images are cross-faded
EDGE_RANGE = (0.05, 0.6)  # mask values that count as its edge


def smoothstep(x: float | NDArray[np.floating]) -> Float32:
    """Clamp ``x`` to 0..1 and ease it in and out with the cubic 3x² - 2x³."""
    x = np.minimum(np.maximum(x, 0), 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def edge_ramp(length: int, width: float) -> Float32:
    """Weights (length,) that rise from 0 to 1 over ``width`` samples at both ends."""
    ramp = np.clip((np.arange(length) + 0.5) / width, 0, 1).astype(np.float32)
    return np.asarray(np.minimum(ramp, ramp[::-1]), np.float32)


def outline_mask(outline: Float32, box: Box, softness: float) -> Float32:
    """Rasterise a closed outline (n, 2), in frame pixels, within ``box``: coverage (h, w), 0..1.

    ``softness``: sigma in pixels of the Gaussian that softens the edge.
    """
    mask = np.zeros((box.height, box.width), np.uint8)
    corners = np.rint((outline - np.array([box.left, box.top])) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.float32)
    return np.multiply(soft, 1 / 255, dtype=np.float32)


def filled_outline(outline: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels of an image of ``shape`` (h, w, ...) inside a closed outline (n, 2) in pixels: (h, w), 1 or 0."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask


def crossfade(images: Sequence[Float32], weights: Sequence[float]) -> Float32:
    """The weighted mean of images (h, w, 3) of Y'CbCr, whose luma keeps the fine contrast of the images.

    Details that do not coincide average out, so that a plain cross-fade looks blurred half-way. The variance is
    restored, as in Heitz and Neyret, "High-Performance By-Example Noise using a Histogram-Preserving Blending
    Operator", High Performance Graphics 2018.
    """
    if len(images) == 1:
        return images[0]
    mixed = np.zeros_like(images[0])
    for image, weight in zip(images, weights, strict=True):
        mixed += np.float32(weight) * image
    fine = _fine(mixed)
    wanted = sum(weight * float((_fine(image) ** 2).mean()) for image, weight in zip(images, weights, strict=True))
    most = 1 / float(np.hypot.reduce(weights))  # of details that have nothing in common
    gain = min(np.sqrt(wanted / max(float((fine**2).mean()), 1e-6)), most)
    mixed[..., 0] += np.float32(max(gain - 1, 0)) * fine
    return mixed


def _fine(image: Float32) -> Float32:
    """The luma of an image (h, w, 3) without its low frequencies, (h, w)."""
    luma = cv2.extractChannel(image, 0)
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), FINE_SIGMA), np.float32)


def colour_shift(around: Float32, patch: Float32, mask: Float32, depth: int = 8) -> Float32:
    """Return the offset (3,) that matches the colour of ``patch`` to ``around`` along the edge of ``mask``.

    ``around``, ``patch``: (h, w, 3) Y'CbCr code values of ``depth`` bits. ``mask``: (h, w), 0..1.
    """
    edge = cv2.inRange(mask, *EDGE_RANGE)
    limit = MAX_COLOUR_SHIFT * (1 << (depth - 8))
    return np.asarray(np.clip(cv2.mean(around - patch, edge)[:3], -limit, limit), np.float32)
