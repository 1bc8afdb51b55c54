"""Find the eyes of a photo, measure their lids, and decide whether they can blink."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from lipsync.frames.patch import box_around, remap
from lipsync.types import Float32, Frame, Landmarks

# In MediaPipe's numbering: upper lid and lower lid from the outer to the inner corner, the lower edge of the brow, and
# a point on the cheek.
RIGHT: Final = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (46, 53, 52, 65, 55),
    50,
)
LEFT: Final = (
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
    (263, 249, 390, 373, 374, 380, 381, 382, 362),
    (276, 283, 282, 295, 285),
    280,
)

# In widths of the eye.
MAX_REACH: Final = 0.5  # above the upper lid: skin that stretches at most
MIN_HEIGHT: Final = 0.14  # above the upper lid: the lashes end below
MIN_ROOM: Final = 0.22  # between the upper lid and the rim of glasses
RIM_MARGIN: Final = 0.06  # of skin below a rim that stays in place
CHEEK: Final = 0.2  # radius of the skin whose brightness is measured
MIN_OPENING: Final = 0.12  # eyes that are less open in the photo do not blink

MIN_WIDTH: Final = 8.0  # pixels; smaller eyes do not show a blink
MIN_CONTRAST: Final = 0.06  # of luma in the eye, as a share of the skin's
DARK: Final = 0.35  # of the skin's luma: rims of glasses
MAX_COVERED: Final = 0.6  # of the columns in which something dark is closer than that
BROW_SHARE: Final = 0.75  # of the distance to the brow that may stretch
CURVE_TERMS: Final = 4
COLUMNS: Final = np.linspace(0, 1, 9, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye of a photo, in the eye's frame: from the outer corner to the inner one, and down from that line.

    ``origin`` (2,): the outer corner in pixels. ``axes`` (2, 2): both directions as rows, in pixels per width of the
    eye. ``upper``, ``lower``: coefficients of the edges of the lids. ``reach`` (9,): how far above the upper lid skin
    stretches, in columns from corner to corner.
    """

    origin: Float32
    axes: Float32
    upper: Float32
    lower: Float32
    reach: Float32

    @property
    def width(self) -> float:
        """From corner to corner, in pixels."""
        return float(np.linalg.norm(self.axes[0]))

    @property
    def opening(self) -> float:
        """Distance of the lids in the middle, in widths of the eye."""
        middle = np.array([0.5], np.float32)
        return float((lid_edge(self.lower, middle) - lid_edge(self.upper, middle))[0])


def find_eyes(frame: Frame, landmarks: Landmarks) -> tuple[Eye, ...]:
    """The eyes of a face (478, 3) if they can blink: both are open, visible and large enough; else none."""
    eyes = tuple(_measure(frame, landmarks[:, :2], *parts) for parts in (RIGHT, LEFT))
    return tuple(eye for eye in eyes if eye is not None) if all(eyes) else ()


def _measure(
    frame: Frame, points: Float32, upper: tuple[int, ...], lower: tuple[int, ...], brow: tuple[int, ...], cheek: int
) -> Eye | None:
    """Measure an eye; None if it cannot blink."""
    origin, along = points[upper[0]], points[upper[-1]] - points[upper[0]]
    down = np.array([-along[1], along[0]], np.float32)
    if (points[lower[4]] - points[brow[2]]) @ down < 0:
        down = -down
    axes = np.stack([along, down])
    local = (points - origin) @ axes.T / max(float(along @ along), 1e-6)
    edge = local[list(brow)]
    edge = edge[np.argsort(edge[:, 0])]
    eye = Eye(origin, axes, _fit(local[list(upper)]), _fit(local[list(lower)]), np.zeros(len(COLUMNS), np.float32))
    if eye.opening < MIN_OPENING or eye.width < MIN_WIDTH:
        return None
    skin = _brightness(frame, points[cheek], float(eye.width) * CHEEK)
    if _contrast(frame, eye) < MIN_CONTRAST * skin:
        return None
    below_brow = BROW_SHARE * (lid_edge(eye.upper, COLUMNS) - np.interp(COLUMNS, *edge.T))
    clear = _clear_height(frame, eye, skin)
    return None if clear is None else replace(eye, reach=np.minimum(below_brow, clear).astype(np.float32))


def _brightness(frame: Frame, point: Float32, radius: float) -> float:
    """The mean luma, above black, around a point."""
    box = box_around(point[None], max(radius, 1), frame)
    return 0.0 if box is None else max(float(frame.y[box.luma].mean()) - _black(frame), 0.0)


def _contrast(frame: Frame, eye: Eye) -> float:
    """The standard deviation of luma between the lids: small behind dark glasses or a hand."""
    down = np.linspace(0.15, 0.85, 15, dtype=np.float32)[:, None]
    upper, lower = lid_edge(eye.upper, COLUMNS), lid_edge(eye.lower, COLUMNS)
    return float(_luma(frame, eye, COLUMNS[None], upper + down * (lower - upper)).std())


def _clear_height(frame: Frame, eye: Eye, skin: float) -> Float32 | None:
    """How far above the upper lid each column shows skin, below the rim of glasses: (9,); None without room."""
    height = np.linspace(MIN_HEIGHT, MAX_REACH, 37, dtype=np.float32)[:, None]
    luma = _luma(frame, eye, COLUMNS[None], lid_edge(eye.upper, COLUMNS) - height)
    dark = luma < DARK * skin + _black(frame)
    if (dark & (height < MIN_ROOM)).any(0).mean() > MAX_COVERED:
        return None
    dark &= height >= MIN_ROOM
    clear = np.where(dark.any(0), height[dark.argmax(0), 0] - RIM_MARGIN, MAX_REACH)
    lowest = cv2.erode(np.asarray(clear, np.float32)[None], np.ones((1, 3), np.uint8))
    return np.asarray(cv2.blur(lowest, (3, 1))[0], np.float32)


def _black(frame: Frame) -> int:
    return 0 if frame.colour.full_range else 16 << (frame.depth - 8)


def _luma(frame: Frame, eye: Eye, x: Float32, y: Float32) -> Float32:
    """Luma at positions in the eye's frame."""
    places = eye.origin + np.stack(np.broadcast_arrays(x, y), -1) @ eye.axes
    return np.asarray(remap(frame.y, np.asarray(places, np.float32)), np.float32)


def _fit(points: Float32) -> Float32:
    """Fit the edge of a lid, (n, 2) from corner to corner, by a polynomial that ends at the corners."""
    x, y = points[1:-1].T
    terms = _terms(x)
    return np.asarray(np.linalg.lstsq(terms, y, rcond=None)[0], np.float32)


def lid_edge(coefficients: Float32, x: Float32) -> Float32:
    """How far a lid's edge is below the line between the corners; on that line outside them."""
    return np.asarray(_terms(np.clip(x, 0, 1)) @ coefficients, np.float32)


def _terms(x: Float32) -> Float32:
    return np.asarray((x * (1 - x))[..., None] * (x[..., None] - 0.5) ** np.arange(CURVE_TERMS), np.float32)
