"""Where a face is cut out for the generator, and how the frame is looked at through that cut."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import OptionInvalid
from lipsync.faces.geometry import LEFT_EYE, MESH, RIGHT_EYE
from lipsync.faces.smoothing import local_fit
from lipsync.frames.rgb import warp_rgb
from lipsync.types import Float32, Frame, Landmarks, Shot, Sides

SIDE = 96  # pixels of the generator's picture
# The box that a detector trained on WIDER FACE gives, as the original's was, told by the mesh: ear to ear, down to the
# chin, and up over the forehead by so much of the way from the eyebrows to the mesh's upper edge. Measured with MTCNN:
# median of 151 faces in 16 clips, 1.5 +- 0.2; the other edges lie within 0.02 of the mesh's.
FOREHEAD = 1.5
BROWS = (105, 334)
UNDER_CHIN = 0.05  # of the box's height: what the original adds below by default, on a face of 200 pixels
SMOOTH_SECONDS, SMOOTH_ORDER = 0.6, 2
ABSENT = (np.nan,) * 5


@dataclass(frozen=True, slots=True)
class Crop:
    """A box in the picture: its centre and size in pixels, turned by ``angle`` radians (the line of the eyes)."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def matrix(self) -> Float32:
        """The map (2, 3) from pixels of the generator's picture to pixels of the frame."""
        across, down = self.width / SIDE, self.height / SIDE
        cosine, sine, middle = np.cos(self.angle), np.sin(self.angle), (SIDE - 1) / 2
        turn = np.array([[cosine * across, -sine * down], [sine * across, cosine * down]])
        return np.column_stack([turn, np.array([self.x, self.y]) - turn @ [middle, middle]]).astype(np.float32)

    def padded(self, pads: tuple[float, float, float, float]) -> Crop:
        """The box with so many pixels more at its own top, bottom, left and right."""
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


def detected_box(landmarks: Landmarks, angle: float = 0.0) -> Crop:
    """The box that the original's detector would give a face (478, 3); in a picture that is turned by ``angle``."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    upright = landmarks[:MESH, :2] @ turn
    (left, crown), (right, chin) = upright.min(0), upright.max(0)
    brow = upright[list(BROWS), 1].min()
    top = brow - FOREHEAD * (brow - crown)
    x, y = turn @ np.array([(left + right) / 2, (top + chin) / 2])
    return Crop(float(x), float(y), max(1.0, float(right - left)), max(1.0, float(chin - top)), angle)


def aligned_box(landmarks: Landmarks) -> Crop:
    """The same, turned with the head."""
    across = landmarks[LEFT_EYE, :2] - landmarks[RIGHT_EYE, :2]
    return detected_box(landmarks, float(np.arctan2(across[1], across[0])))


def boxed(box: Sides) -> Crop:
    """A box that is told by its top, bottom, left and right, the second and fourth excluded."""
    top, bottom, left, right = box
    if bottom <= top or right <= left:
        raise OptionInvalid(f"a box from {top}, {left} to {bottom}, {right} holds nothing")
    return Crop((left + right - 1) / 2, (top + bottom - 1) / 2, right - left, bottom - top)


def check_inside(box: Sides, picture: Frame) -> None:
    """OptionInvalid if nothing of a box, told by its top, bottom, left and right, lies in the picture."""
    top, bottom, left, right = box
    height, width = picture.y.shape
    if top >= height or left >= width or bottom <= 0 or right <= 0:
        raise OptionInvalid(f"the box from {top}, {left} to {bottom}, {right} lies outside of {width}x{height}")


def view(picture: Frame, crop: Crop) -> Float32:
    """The face as the generator is shown it, (3, 96, 96), BGR in 0..1."""
    rgb = warp_rgb(picture, crop.matrix(), (SIDE, SIDE), fine=True)
    return np.ascontiguousarray(rgb[..., ::-1].transpose(2, 0, 1))


def generator_input(face: Float32, reference: Float32) -> Float32:
    """Two views (3, 96, 96) as (6, 96, 96): the face with its lower half black, then the reference, whole."""
    both = np.concatenate([face, reference])
    both[:3, SIDE // 2 :] = 0
    return both


class Crops:
    """The boxes of all frames, kept while the footage is read, then smoothed around each frame within its shot."""

    def __init__(self) -> None:
        self._numbers = array("d")  # five of each frame: 40 bytes, where objects would take ten times that

    def add(self, crop: Crop | None) -> None:
        """The next frame's box, as it was seen there; None if there was no face."""
        seen = ABSENT if crop is None else (crop.x, crop.y, np.log(crop.width), np.log(crop.height), crop.angle)
        self._numbers.extend(seen)

    def placed(
        self, present: NDArray[np.bool_], shots: Sequence[Shot], rate: Fraction, smooth: bool = True
    ) -> PlacedCrops:
        """A box for every frame in which the face is ``present``, short gaps filled in; nothing reaches over a cut."""
        rows = np.array(self._numbers).reshape(-1, len(ABSENT))
        half = max(SMOOTH_ORDER, round(SMOOTH_SECONDS * float(rate) / 2))
        for start, stop in _runs(present, shots):
            run = _filled(rows[start:stop])
            run[:, 4] = np.unwrap(run[:, 4])
            rows[start:stop] = local_fit(run, half, SMOOTH_ORDER) if smooth else run
        rows[~present] = np.nan
        return PlacedCrops(rows)


class PlacedCrops:
    """Boxes by the footage's frame. ``rows`` (n, 5): centre, logarithms of the size, angle; NaN where there is none."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Crop | None:
        x, y, width, height, angle = self._rows[index].tolist()
        return None if np.isnan(x) else Crop(x, y, float(np.exp(width)), float(np.exp(height)), angle)


def _runs(present: NDArray[np.bool_], shots: Sequence[Shot]) -> list[tuple[int, int]]:
    """Runs of frames with the face, none of which holds a cut."""
    marks = {0, len(present), *(shot.start for shot in shots), *(np.flatnonzero(np.diff(present)) + 1).tolist()}
    return [(low, high) for low, high in pairwise(sorted(marks)) if present[low]]


def _filled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    seen = np.flatnonzero(np.isfinite(rows[:, 0]))
    everywhere = np.arange(len(rows))
    return np.stack([np.interp(everywhere, seen, column[seen]) for column in rows.T], 1)
