"""Moving footage of a real face: scikit-image's astronaut photo (Eileen Collins, NASA, public domain)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from lipsync.faces.landmarker import Landmarker
from lipsync.types import Colour, Picture

Rgb = NDArray[np.uint8]


@pytest.fixture(scope="session")
def landmarker() -> Iterator[Landmarker]:
    with Landmarker.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def photo() -> Rgb:
    """(512, 512, 3), the face near (225, 115), about 55 pixels between the outer corners of the eyes."""
    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture(scope="session")
def to_picture() -> Callable[[Rgb, int], Picture]:
    """RGB with even sides to 8-bit BT.601 in limited range."""

    def convert(rgb: Rgb, index: int = 0) -> Picture:
        height, width = rgb.shape[:2]
        planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        half = (2, height // 2, width // 2)
        u, v = planes[height:].reshape(half)
        return Picture(index, planes[:height].copy(), u.copy(), v.copy(), 8, Colour(6, 6, 6, False))

    return convert


@pytest.fixture(scope="session")
def moved(photo: Rgb) -> Callable[..., Rgb]:
    """The photo with its face brought to ``at``, ``zoom`` times as large, turned by ``turn`` radians, on grey."""

    def move(
        at: tuple[float, float] = (160, 120), zoom: float = 1.0, turn: float = 0.0, size: tuple[int, int] = (320, 240)
    ) -> Rgb:
        cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
        matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0]])
        matrix[:, 2] = np.array(at) - matrix[:, :2] @ [225, 115]
        return np.asarray(
            cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_AREA, borderValue=(128, 128, 128)), np.uint8
        )

    return move
