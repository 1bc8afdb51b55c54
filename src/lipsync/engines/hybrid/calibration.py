"""Correct what the landmark network misreads on a small face, learned from frames of the video itself.

On a face of 96 pixels, the landmark network reports the mouth a little more or less open than it is, differently for
each person. The video's own frames give pairs of readings at both sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.hybrid.mouth_reader import MouthReader, landmarker_view
from lipsync.engines.reservoir import Reservoir
from lipsync.engines.wav2lip.crop import Crop, face_view
from lipsync.faces.geometry import MESH
from lipsync.faces.region import region_of
from lipsync.types import Face, Float32, Frame

SAMPLE_SIZE: Final = 64  # faces
RIDGE_WEIGHT: Final = 5.0  # pulls the slope to 1, as this many frames with a deviation of 1 would


@dataclass(frozen=True, slots=True)
class Correction:
    """An affine correction of motion coefficients; ``slope`` and ``offset`` are (K,)."""

    slope: Float32
    offset: Float32

    def __call__(self, rows: Float32) -> Float32:
        return np.asarray(rows * self.slope + self.offset, np.float32)


def fit_correction(read: Float32, true: Float32) -> Correction:
    """Ridge regression from rows (n, K) to rows (n, K), for each coefficient; the slope tends to 1 without motion.

    Hoerl and Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12(1), 1970.
    """
    read_mean, true_mean = read.mean(0), true.mean(0)
    deviation = read - read_mean
    slope = ((deviation * (true - true_mean)).sum(0) + RIDGE_WEIGHT) / ((deviation**2).sum(0) + RIDGE_WEIGHT)
    return Correction(np.asarray(slope, np.float32), np.asarray(true_mean - slope * read_mean, np.float32))


class FaceSample:
    """A random sample of the video's faces: as the landmark network sees a generated face, and their landmarks."""

    def __init__(self) -> None:
        self._faces: Reservoir[tuple[NDArray[np.uint8], Float32]] = Reservoir(SAMPLE_SIZE)

    def observe(self, frame: Frame, face: Face, crop: Crop) -> None:
        """Offer a frame of the first pass to the sample."""

        def create() -> tuple[NDArray[np.uint8], Float32]:
            view = landmarker_view(frame, region_of(face.landmarks), crop, face_view(frame, crop))
            return np.rint(view * 255).astype(np.uint8), face.landmarks[:MESH]

        self._faces.offer(create)

    def correction(self, reader: MouthReader) -> Correction | None:
        """The correction for this video; None if no sampled face can be read."""
        rows = [(reader.read(np.multiply(v, 1 / 255, dtype=np.float32)), points) for v, points in self._faces.items]
        pairs = [(row, points) for row, points in rows if row is not None]
        if not pairs:
            return None
        true = reader.measure(np.stack([points for _, points in pairs]))
        return fit_correction(np.stack([row for row, _ in pairs]), true)
