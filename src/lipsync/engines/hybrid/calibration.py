"""How a small soft face is read wrongly, learned from frames of the footage, which are known in full.

The landmark network takes the mouth of a face of 96 pixels for a little more or less open than it is, in its own way
for every person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.hybrid.mouth_reader import MouthMeasurement, shown
from lipsync.engines.reservoir import Reservoir
from lipsync.engines.wav2lip.crop import Crop, view
from lipsync.faces.geometry import MESH
from lipsync.faces.region import region_of
from lipsync.types import Face, Float32, Frame

SAMPLE = 64
DOUBT = 5.0  # frames' worth of a spread of 1 that speak for no error of scale


@dataclass(frozen=True, slots=True)
class Correction:
    """What is read, times ``slope`` plus ``offset``, is what was to be read; (K,) each."""

    slope: Float32
    offset: Float32

    def __call__(self, rows: Float32) -> Float32:
        return np.asarray(rows * self.slope + self.offset, np.float32)


def fitted(read: Float32, true: Float32) -> Correction:
    """By least squares from rows (n, K) of both, per coefficient; no slope is made of what hardly moves."""
    middle, aim = read.mean(0), true.mean(0)
    away = read - middle
    slope = ((away * (true - aim)).sum(0) + DOUBT) / ((away**2).sum(0) + DOUBT)
    return Correction(np.asarray(slope, np.float32), np.asarray(aim - slope * middle, np.float32))


class Sample:
    """A fair sample of the footage's faces, as large as they are and as the generator would have made them."""

    def __init__(self) -> None:
        self._kept: Reservoir[tuple[NDArray[np.uint8], Float32]] = Reservoir(SAMPLE)

    def observe(self, picture: Frame, face: Face, crop: Crop) -> None:
        """Offer a frame of the video to the sample."""
        self._kept.offer(lambda: _generated(picture, face, crop))

    def correction(self, reading: MouthMeasurement) -> Correction | None:
        """What corrects a reading of this footage; None if no face of it can be read."""
        pairs = [(reading.seen(np.multiply(v, 1 / 255, dtype=np.float32)), points) for v, points in self._kept.items]
        read = [(row, points) for row, points in pairs if row is not None]
        if not read:
            return None
        return fitted(np.stack([row for row, _ in read]), reading.measured(np.stack([points for _, points in read])))


def _generated(picture: Frame, face: Face, crop: Crop) -> tuple[NDArray[np.uint8], Float32]:
    small = shown(picture, region_of(face.landmarks), crop, view(picture, crop))
    return np.rint(small * 255).astype(np.uint8), face.landmarks[:MESH]
