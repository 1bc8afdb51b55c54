"""Close the eyes of a photo with its own eyelids.

Two layers: the eyeball stays, and the upper lid slides over it. The skin between the lid's edge and the brow stretches;
the edge itself keeps its shape, so that the lashes move with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.frames.blend import smoothstep
from lipsync.frames.patch import box_around, quantise, read_patch, remap, write_patch
from lipsync.types import Box, Float32, Frame, Landmarks

# Outer corner to inner corner, in MediaPipe's numbering: upper lid, lower lid; then the lower edge of the brow.
RIGHT: Final = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (46, 53, 52, 65, 55),
)
LEFT: Final = (
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
    (263, 249, 390, 373, 374, 380, 381, 382, 362),
    (276, 283, 282, 295, 285),
)

# In widths of the eye.
MARGIN: Final = 0.03  # of the upper lid below its landmarks: roots of the lashes
LASHES: Final = 0.07  # above its landmarks: moves without stretching
MAX_REACH: Final = 0.5  # above its landmarks: skin that stretches
CALM_WIDTH, CALM_HEIGHT = 0.1, 0.3  # that far above the edge, skin follows the mean fall of the edge within the width
BESIDE: Final = 0.2  # on both sides of the outer corner: the lid's edge turns into lashes that end on skin
BESIDE_SHIFT, BESIDE_SOFTNESS = 0.08, 0.1  # from where they take their fall, and how softly they end
LOWER_REACH: Final = 0.5  # below the lower lid: skin that moves with it
OVERLAP: Final = 0.03  # of the lids when the eye is closed
SIDES: Final = 0.35  # beside the corners: part of the picture that is computed
MIN_OPENING: Final = 0.12  # eyes that are less open in the photo do not blink

BESIDE_SHARE: Final = 0.7  # of their fall by which lashes beside the eye cover the skin below
LOWER_SHARE: Final = 0.3  # of its depth below the line between the corners by which the lower lid rises
BROW_SHARE: Final = 0.9  # of the distance to the brow that may stretch
MIN_SLOPE: Final = 0.2  # pixels of the photo per pixel of the stretched skin
EDGE_PIXELS: Final = 1.5  # width of the edges of the lids
MIN_WIDTH: Final = 8.0  # pixels; smaller eyes do not show a blink
CURVE_TERMS: Final = 4


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye of a photo, in the eye's frame: from the outer corner to the inner one, and down from that line.

    ``origin`` (2,): the outer corner in pixels. ``axes`` (2, 2): both directions as rows, in pixels per width of the
    eye. ``upper``, ``lower``: coefficients of the edges of the lids. ``reach``: how far above the upper lid skin moves.
    """

    origin: Float32
    axes: Float32
    upper: Float32
    lower: Float32
    reach: float

    @property
    def width(self) -> float:
        """From corner to corner, in pixels."""
        return float(np.linalg.norm(self.axes[0]))

    @property
    def opening(self) -> float:
        """Distance of the lids in the middle, in widths of the eye."""
        middle = np.array([0.5], np.float32)
        return float((_edge(self.lower, middle) - _edge(self.upper, middle))[0])


def find_eyes(landmarks: Landmarks) -> tuple[Eye, ...]:
    """The eyes of a face (478, 3) if they can blink: both are open and large enough; else none."""
    eyes = tuple(_measure(landmarks[:, :2], *parts) for parts in (RIGHT, LEFT))
    return eyes if all(eye.opening >= MIN_OPENING and eye.width >= MIN_WIDTH for eye in eyes) else ()


def close_eye(frame: Frame, eye: Eye, closure: float) -> None:
    """Close an eye of the frame, in place. ``closure``: 0 as in the photo, 1 closed."""
    box = _box(eye, frame)
    if closure <= 0 or box is None:
        return
    before = read_patch(frame, box)
    after = np.asarray(before, np.float32)
    for coverage, source in _lids(eye, box, closure):
        moved = np.asarray(remap(before, source), np.float32)
        after = after + coverage[..., None] * (moved - after)
    write_patch(frame, box, before, quantise(after, frame.depth))


def _measure(points: Float32, upper: tuple[int, ...], lower: tuple[int, ...], brow: tuple[int, ...]) -> Eye:
    origin, along = points[upper[0]], points[upper[-1]] - points[upper[0]]
    down = np.array([-along[1], along[0]], np.float32)
    if (points[lower[4]] - points[brow[2]]) @ down < 0:
        down = -down
    axes = np.stack([along, down])
    local = (points - origin) @ axes.T / max(float(along @ along), 1e-6)
    edges = [_fit(local[list(lid)]) for lid in (upper, lower)]
    above = _edge(edges[0], local[list(brow), 0]) - local[list(brow), 1]
    reach = min(MAX_REACH, BROW_SHARE * float(np.median(above)))
    return Eye(origin, axes, edges[0], edges[1], max(reach, 2 * LASHES))


def _fit(points: Float32) -> Float32:
    """Fit the edge of a lid, (n, 2) from corner to corner, by a polynomial that ends at the corners."""
    x, y = points[1:-1].T
    terms = _terms(x)
    return np.asarray(np.linalg.lstsq(terms, y, rcond=None)[0], np.float32)


def _edge(coefficients: Float32, x: Float32) -> Float32:
    """How far a lid's edge is below the line between the corners; on that line outside them."""
    return np.asarray(_terms(np.clip(x, 0, 1)) @ coefficients, np.float32)


def _terms(x: Float32) -> Float32:
    return np.asarray((x * (1 - x))[..., None] * (x[..., None] - 0.5) ** np.arange(CURVE_TERMS), np.float32)


def _box(eye: Eye, frame: Frame) -> Box | None:
    corners = np.array([[x, y] for x in (-SIDES, 1 + SIDES) for y in (-eye.reach - 0.5, 0.9)], np.float32)
    return box_around(eye.origin + corners @ eye.axes, 2, frame)


def _lids(eye: Eye, box: Box, closure: float) -> Iterator[tuple[Float32, Float32]]:
    """The lower lid, then the upper one, at ``closure``.

    Each has its coverage of each pixel (h, w), and where its pixels come from (h, w, 2).
    """
    inverse = eye.axes.T / eye.width**2
    columns, rows = np.meshgrid(np.arange(box.left, box.right), np.arange(box.top, box.bottom))
    local = (np.stack([columns, rows], -1).astype(np.float32) - eye.origin) @ inverse
    base = np.stack([columns - box.left, rows - box.top], -1)
    for coverage, shift in (_lower_lid(eye, local, closure), _upper_lid(eye, local, closure)):
        yield coverage, np.asarray(base + shift[..., None] * eye.axes[1], np.float32)


def _lower_lid(eye: Eye, local: Float32, closure: float) -> tuple[Float32, Float32]:
    """The coverage of the lower lid, and how far below each position in the eye's frame its skin comes from."""
    x, y = local[..., 0], local[..., 1]
    rise = closure * LOWER_SHARE * np.maximum(_edge(eye.lower, x), 0)
    below = y - _edge(eye.lower, x) + rise
    coverage = smoothstep(below * eye.width / EDGE_PIXELS + 0.5)
    return coverage, np.asarray(rise * smoothstep(1 - (below - LASHES) / LOWER_REACH), np.float32)


def _upper_lid(eye: Eye, local: Float32, closure: float) -> tuple[Float32, Float32]:
    """The coverage of the upper lid, and how far below each position in the eye's frame its skin comes from."""
    x, y = local[..., 0], local[..., 1]
    fall = closure * _gap(eye, x)
    above = _edge(eye.upper, x) + fall - y
    beside = smoothstep((BESIDE - x) / (2 * BESIDE))
    calm = np.maximum(beside, smoothstep(above / CALM_HEIGHT))
    skin_fall = fall + calm * (closure * _calm_gap(eye, x + BESIDE_SHIFT * beside) - fall)
    lashes = MARGIN * np.minimum(1, fall / 0.1) + BESIDE_SHARE * beside * (skin_fall - fall)
    softness = EDGE_PIXELS / eye.width + BESIDE_SOFTNESS * beside
    coverage = smoothstep((above + lashes) / softness + 0.5)
    return coverage, np.asarray(skin_fall * (_stretch(above, skin_fall, eye.reach) - 1), np.float32)


def _gap(eye: Eye, x: Float32) -> Float32:
    """How far the edge of the upper lid comes down at ``x`` when the eye closes."""
    overlap = OVERLAP * np.clip(4 * x * (1 - x), 0, 1)
    lower = _edge(eye.lower, x)
    met = lower - LOWER_SHARE * np.maximum(lower, 0)
    return np.asarray(np.maximum(met - _edge(eye.upper, x), 0) + overlap, np.float32)


def _calm_gap(eye: Eye, x: Float32) -> Float32:
    """``_gap`` without kinks at the corners, for the skin away from the edge of the lid."""
    samples = np.linspace(-1, 2, 301, dtype=np.float32)
    calm = cv2.GaussianBlur(_gap(eye, samples)[None], (0, 0), CALM_WIDTH * 100)[0]
    return np.asarray(np.interp(x, samples, calm), np.float32)


def _stretch(above: Float32, fall: Float32, reach: float) -> Float32:
    """The share of the lid's ``fall`` that the skin ``above`` its edge has made up by stretching: 0..1."""
    length = np.maximum(reach + fall - LASHES, fall * 1.5 / (1 - MIN_SLOPE))
    return smoothstep((above - LASHES) / length)
