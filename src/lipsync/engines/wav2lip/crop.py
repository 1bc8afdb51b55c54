"""Where the generator's input is cut from the frame, smoothed over time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import OptionInvalid
from lipsync.faces.geometry import MESH
from lipsync.faces.region import head_angle, view_matrix
from lipsync.faces.smoothing import local_fit
from lipsync.frames.rgb import warp_rgb
from lipsync.types import Float32, Frame, Landmarks, Shot, Sides

SIDE: Final = 96  # pixels of the generator's input and output
# The original's detector was trained on WIDER FACE, whose boxes reach from ear to ear, down to the chin, and up over
# the forehead by this multiple of the distance from the eyebrows to the mesh's upper edge. Measured with MTCNN: the
# median of 151 faces in 16 clips is 1.5 +- 0.2; the other edges are within 0.02 of the mesh's.
FOREHEAD: Final = 1.5
BROWS: Final = (105, 334)
UNDER_CHIN: Final = 0.05  # of the box's height: the original's default padding of 10 pixels, on a face of 200 pixels
SMOOTH_SECONDS, SMOOTH_ORDER = 0.6, 2
ABSENT: Final = (np.nan,) * 5


@dataclass(frozen=True, slots=True)
class Crop:
    """A box in the frame: its centre and size in pixels, rotated by ``angle`` radians (the line between the eyes)."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def matrix(self) -> Float32:
        """The affine map (2, 3) from pixels of the generator's image to pixels of the frame."""
        return view_matrix((self.x, self.y), (self.width, self.height), self.angle, SIDE)

    def padded(self, pads: tuple[float, float, float, float]) -> Crop:
        """The box extended by pixels at its own top, bottom, left and right."""
        top, bottom, left, right = pads
        across, down = (right - left) / 2, (bottom - top) / 2
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return Crop(
            float(self.x + cosine * across - sine * down),
            float(self.y + sine * across + cosine * down),
            max(1.0, self.width + left + right),
            max(1.0, self.height + top + bottom),
            self.angle,
        )


def detected_crop(landmarks: Landmarks, angle: float = 0.0) -> Crop:
    """The box that the original's detector finds around a face (478, 3), in a frame rotated by ``angle``."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    upright = landmarks[:MESH, :2] @ rotation
    (left, crown), (right, chin) = upright.min(0), upright.max(0)
    brow = upright[list(BROWS), 1].min()
    top = brow - FOREHEAD * (brow - crown)
    x, y = rotation @ np.array([(left + right) / 2, (top + chin) / 2])
    return Crop(float(x), float(y), max(1.0, float(right - left)), max(1.0, float(chin - top)), angle)


def aligned_crop(landmarks: Landmarks) -> Crop:
    """The same box, rotated with the head."""
    return detected_crop(landmarks, head_angle(landmarks))


def crop_of_box(box: Sides) -> Crop:
    """The crop for a box in pixels, bottom and right excluded.

    Raises OptionInvalid if the box is empty.
    """
    top, bottom, left, right = box
    if bottom <= top or right <= left:
        raise OptionInvalid(f"invalid box {top} {bottom} {left} {right}: expected top < bottom and left < right")
    return Crop((left + right - 1) / 2, (top + bottom - 1) / 2, right - left, bottom - top)


def check_inside(box: Sides, frame: Frame) -> None:
    """Raise OptionInvalid if a box is completely outside the frame."""
    top, bottom, left, right = box
    height, width = frame.y.shape
    if top >= height or left >= width or bottom <= 0 or right <= 0:
        raise OptionInvalid(f"invalid box {top} {bottom} {left} {right}: outside the {width}x{height} video")


def face_view(frame: Frame, crop: Crop) -> Float32:
    """The crop as an image of the generator's size, (3, 96, 96), BGR in 0..1."""
    rgb = warp_rgb(frame, crop.matrix(), (SIDE, SIDE), fine=True)
    return np.ascontiguousarray(rgb[..., ::-1].transpose(2, 0, 1))


def generator_input(face: Float32, reference: Float32) -> Float32:
    """Two views (3, 96, 96) as one input (6, 96, 96): the face with its lower half black, then the reference."""
    both = np.concatenate([face, reference])
    both[:3, SIDE // 2 :] = 0
    return both


class Crops:
    """The crops of all frames, recorded in the first pass, then smoothed within each shot."""

    def __init__(self) -> None:
        self._values = array("d")  # five for each frame: 40 bytes, a tenth of what objects would take

    def add(self, crop: Crop | None) -> None:
        """Record the next frame's crop; None if it shows no face."""
        values = ABSENT if crop is None else (crop.x, crop.y, np.log(crop.width), np.log(crop.height), crop.angle)
        self._values.extend(values)

    def smoothed(
        self, present: NDArray[np.bool_], shots: Sequence[Shot], rate: Fraction, smooth: bool = True
    ) -> SmoothedCrops:
        """Crops for all frames in which the face is ``present``; short gaps are interpolated, shots are separate.

        ``smooth``: fit a polynomial around each frame (see ``faces.smoothing.local_fit``); otherwise only fill gaps.
        """
        rows = np.array(self._values).reshape(-1, len(ABSENT))
        half = max(SMOOTH_ORDER, round(SMOOTH_SECONDS * float(rate) / 2))
        for start, stop in _runs(present, shots):
            run = _interpolated(rows[start:stop])
            run[:, 4] = np.unwrap(run[:, 4])
            rows[start:stop] = local_fit(run, half, SMOOTH_ORDER) if smooth else run
        rows[~present] = np.nan
        return SmoothedCrops(rows)


class SmoothedCrops:
    """Crops by frame index. ``rows`` (n, 5): centre, logarithms of width and height, angle; NaN without a face."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Crop | None:
        x, y, width, height, angle = self._rows[index].tolist()
        return None if np.isnan(x) else Crop(x, y, float(np.exp(width)), float(np.exp(height)), angle)


def _runs(present: NDArray[np.bool_], shots: Sequence[Shot]) -> list[tuple[int, int]]:
    """Runs (start, stop) of frames with the face, split at cuts."""
    edges = {0, len(present), *(shot.start for shot in shots), *(np.flatnonzero(np.diff(present)) + 1).tolist()}
    return [(start, stop) for start, stop in pairwise(sorted(edges)) if present[start]]


def _interpolated(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(rows[:, 0]))
    indices = np.arange(len(rows))
    return np.stack([np.interp(indices, known, column[known]) for column in rows.T], 1)
