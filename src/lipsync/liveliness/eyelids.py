"""Close the eyes of a photo with its own eyelids.

Three layers: the eyeball stays, the lower lid rises a little over it, and the upper lid slides over both. The skin
between the upper lid's edge and the brow stretches; the edge itself keeps its shape, so that the lashes move with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from lipsync.frames.blend import smoothstep
from lipsync.frames.patch import box_around, quantise, read_patch, remap, write_patch
from lipsync.liveliness.eyes import COLUMNS, MAX_REACH, Eye, lid_edge
from lipsync.types import Box, Float32, Frame

# In widths of the eye.
MARGIN: Final = 0.03  # of the upper lid below its landmarks: roots of the lashes
LASHES: Final = 0.07  # above its landmarks: moves without stretching
MIN_REACH: Final = 0.03  # above the lashes: skin that stretches at least
CALM_WIDTH, CALM_HEIGHT = 0.1, 0.3  # that far above the edge, skin follows the mean fall of the edge within the width
BESIDE: Final = 0.3  # on both sides of the outer corner: the lid's edge turns into lashes that end on skin
BESIDE_SHIFT, BESIDE_SOFTNESS = 0.1, 0.1  # from where they take their fall, and how softly they end
BESIDE_LASHES: Final = 0.08  # by which they are higher than elsewhere
LOWER_REACH: Final = 0.5  # below the lower lid: skin that moves with it
OVERLAP: Final = 0.03  # of the lids when the eye is closed
SIDES: Final = 0.35  # beside the corners: part of the picture that is computed

BESIDE_SHARE: Final = 0.3  # of their fall by which lashes beside the eye cover the skin below
LOWER_SHARE: Final = 0.3  # of its depth below the line between the corners by which the lower lid rises
EASE: Final = 0.5  # of the stretch: 0 is even, 1 begins and ends gently
EDGE_PIXELS: Final = 1.5  # width of the edges of the lids


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


def _box(eye: Eye, frame: Frame) -> Box | None:
    corners = np.array([[x, y] for x in (-SIDES, 1 + SIDES) for y in (-MAX_REACH - 0.5, 0.9)], np.float32)
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
    rise = closure * LOWER_SHARE * np.maximum(lid_edge(eye.lower, x), 0)
    below = y - lid_edge(eye.lower, x) + rise
    coverage = smoothstep(below * eye.width / EDGE_PIXELS + 0.5)
    return coverage, np.asarray(rise * smoothstep(1 - (below - LASHES) / LOWER_REACH), np.float32)


def _upper_lid(eye: Eye, local: Float32, closure: float) -> tuple[Float32, Float32]:
    """The coverage of the upper lid, and how far below each position in the eye's frame its skin comes from."""
    x, y = local[..., 0], local[..., 1]
    fall = closure * _gap(eye, x)
    above = lid_edge(eye.upper, x) + fall - y
    beside = smoothstep(1 - x / BESIDE)
    calm = np.maximum(beside, smoothstep(above / CALM_HEIGHT))
    skin_fall = fall + calm * (closure * _calm_gap(eye, x + BESIDE_SHIFT * beside) - fall)
    lashes = MARGIN * np.minimum(1, fall / 0.1) + BESIDE_SHARE * beside * (skin_fall - fall)
    softness = EDGE_PIXELS / eye.width + BESIDE_SOFTNESS * beside
    coverage = smoothstep((above + lashes) / softness + 0.5)
    rigid = LASHES + BESIDE_LASHES * beside
    stretch = _stretch(above - rigid, skin_fall, np.interp(x, COLUMNS, eye.reach) - rigid)
    return coverage, np.asarray(skin_fall * (stretch - 1), np.float32)


def _gap(eye: Eye, x: Float32) -> Float32:
    """How far the edge of the upper lid comes down at ``x`` when the eye closes."""
    overlap = OVERLAP * np.clip(4 * x * (1 - x), 0, 1)
    lower = lid_edge(eye.lower, x)
    met = lower - LOWER_SHARE * np.maximum(lower, 0)
    return np.asarray(np.maximum(met - lid_edge(eye.upper, x), 0) + overlap, np.float32)


def _calm_gap(eye: Eye, x: Float32) -> Float32:
    """``_gap`` without kinks at the corners, for the skin away from the edge of the lid."""
    samples = np.linspace(-1, 2, 301, dtype=np.float32)
    calm = cv2.GaussianBlur(_gap(eye, samples)[None], (0, 0), CALM_WIDTH * 100)[0]
    return np.asarray(np.interp(x, samples, calm), np.float32)


def _stretch(above: Float32, fall: Float32, reach: Float32) -> Float32:
    """The share of the lid's ``fall`` that the skin ``above`` its lashes has made up by stretching: 0..1."""
    reach, fall = np.maximum(reach, MIN_REACH), np.maximum(fall, 1e-6)
    share = np.clip(above / (reach + fall), 0, 1)
    ease = np.minimum(EASE, reach / fall)  # as far as no pixel of the photo is shown twice
    return np.asarray(share + ease * (smoothstep(share) - share), np.float32)
