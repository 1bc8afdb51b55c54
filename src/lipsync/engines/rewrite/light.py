"""The light on the skin around the mouth, and the change of colour from one light to another.

Each of red, green and blue has its own gain, as in the chromatic adaptation of von Kries (1902), here applied to the
gamma-coded values.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.types import Float32, Frame

# Points of the mesh on the skin around the lips: beside the nose, beside and below the lips, and on the chin.
SKIN: Final = (165, 391, 92, 322, 186, 410, 205, 425, 212, 432, 43, 273, 106, 335, 182, 406, 18, 200, 208, 428)
MAX_GAIN: Final = 2.5
SMALL_CHANGE: Final = 0.015  # of the gain, which is not worth a change of colour
DARKEST: Final = 0.02  # the least light, of 1, so that ratios stay finite
MAX_CODE, SMOOTH_FRAMES = (1 << 16) - 1, 7
# Y', Cb, Cr of R', G', B' (Rec. ITU-R BT.601); other matrices give nearly the same gains.
TO_YCC: Final = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))
_TO_YCC = np.array(TO_YCC)
_TO_RGB = np.linalg.inv(_TO_YCC)


@dataclass(frozen=True, slots=True)
class Light:
    """``rgb`` (3,): the skin's R'G'B', 0..1. ``black`` and ``middle``: code values of black luma and of no chroma."""

    rgb: Float32
    black: float
    middle: float


def measure_light(frame: Frame, points: Float32) -> Light:
    """The light on a face; ``points`` (>= 468, >= 2): its mesh in pixels. The median leaves out hair and glints."""
    height, width = frame.y.shape
    places = points[list(SKIN), :2]
    x, y = np.clip(places, 0, (width - 1, height - 1)).astype(int).T
    half = y // 2, x // 2
    codes = _median(np.stack([frame.y[y, x], frame.u[half], frame.v[half]]).T)
    unit = 1 << (frame.depth - 8)
    black, middle = (0 if frame.colour.full_range else 16) * unit, 128 * unit
    rgb = _TO_RGB @ (codes - (black, middle, middle)) / (255 * unit if frame.colour.full_range else 219 * unit)
    return Light(np.clip(rgb, DARKEST, 1).astype(np.float32), black, middle)


def light_change(light: Light, rgb: Float32) -> Float32 | None:
    """The affine map (3, 4) of Y'CbCr codes from ``light`` to the skin colour ``rgb``; None if they are alike."""
    gain = np.clip(rgb / light.rgb, 1 / MAX_GAIN, MAX_GAIN)
    if np.abs(gain - 1).max() < SMALL_CHANGE:
        return None
    matrix = _TO_YCC @ np.diag(gain) @ _TO_RGB
    zero = np.array([light.black, light.middle, light.middle])
    return np.column_stack([matrix, zero - matrix @ zero]).astype(np.float32)


def relit(image: Float32, change: Float32 | None) -> Float32:
    """An image (h, w, 3) of Y'CbCr code values after a ``light_change``."""
    return image if change is None else np.asarray(cv2.transform(image, change), np.float32)


class LightTrack:
    """The skin's colour in each source frame, in 6 bytes a frame."""

    def __init__(self) -> None:
        self._codes = array("H")

    def add(self, index: int, rgb: Float32) -> None:
        """Note the colour (3,) of frame ``index``; the frames since the last one, without a face, get it too."""
        missing = index + 1 - len(self._codes) // 3
        self._codes.extend([round(float(value) * MAX_CODE) for value in rgb] * missing)

    def smoothed(self, indices: Sequence[int]) -> Float32:
        """The colours (n, 3) of frames: medians over ``SMOOTH_FRAMES``, which keep the change at a cut."""
        if not self._codes:
            return np.ones((len(indices), 3), np.float32)
        codes = np.frombuffer(self._codes, np.uint16).reshape(-1, 3)
        around = np.arange(SMOOTH_FRAMES) - SMOOTH_FRAMES // 2
        frames = np.clip(np.asarray(indices)[:, None] + around, 0, len(codes) - 1)
        return np.asarray(_median(codes[frames].swapaxes(0, 1)) / MAX_CODE, np.float32)


def _median(values: NDArray[np.generic]) -> Float32:
    """The median along the first axis; much faster than NumPy's for few values."""
    ordered = np.sort(values, axis=0)
    return np.asarray((ordered[(len(values) - 1) // 2].astype(np.float32) + ordered[len(values) // 2]) / 2, np.float32)
