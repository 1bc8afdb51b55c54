"""Close the eyes of a photo with its own eyelids.

Three layers: the eyeball stays, the lower lid rises a little over it, and the upper lid slides over both. The skin
between the upper lid's edge and the brow stretches; the edge itself keeps its shape, so that the lashes move with it.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Eyelids:
    """The lids of one eye, ready to close. Maps are (h, w), for the pixels of ``box``; lengths are widths of the eye.

    ``positions`` (h, w, 2): of the pixels in the box. ``down`` (2,): the eye's own direction down, in pixels per width
    of the eye. ``above``, ``below``: height above the edge of the upper lid, depth below that of the lower one.
    ``gap``: how far the edge of the upper lid comes down. ``calm_gap``: the same without kinks at the corners, for the
    skin away from the edge. ``rise``: how far the lower lid comes up. ``beside``: 1 outside the outer corner, 0 well
    inside it. ``reach``: how far above the upper lid skin stretches.
    """

    box: Box
    positions: Float32
    down: Float32
    above: Float32
    below: Float32
    gap: Float32
    calm_gap: Float32
    rise: Float32
    beside: Float32
    reach: Float32

    def close(self, frame: Frame, closure: float) -> None:
        """Close the eye of the frame, in place. ``closure``: 0 as in the photo, 1 closed."""
        before = read_patch(frame, self.box)
        after = np.asarray(before, np.float32)
        for coverage, shift in (self._lower(closure), self._upper(closure)):
            moved = np.asarray(remap(before, self.positions + shift[..., None] * self.down), np.float32)
            after = after + coverage[..., None] * (moved - after)
        write_patch(frame, self.box, before, quantise(after, frame.depth))

    @property
    def _edge_width(self) -> float:
        return EDGE_PIXELS / float(np.linalg.norm(self.down))

    def _lower(self, closure: float) -> tuple[Float32, Float32]:
        """The coverage of the lower lid, and how far below each position its skin comes from."""
        rise = closure * self.rise
        below = self.below + rise
        coverage = smoothstep(below / self._edge_width + 0.5)
        return coverage, rise * smoothstep(1 - (below - LASHES) / LOWER_REACH)

    def _upper(self, closure: float) -> tuple[Float32, Float32]:
        """The coverage of the upper lid, and how far below each position its skin comes from."""
        fall = closure * self.gap
        above = self.above + fall
        calm = np.maximum(self.beside, smoothstep(above / CALM_HEIGHT))
        skin_fall = fall + calm * (closure * self.calm_gap - fall)
        lashes = MARGIN * np.minimum(1, fall / 0.1) + BESIDE_SHARE * self.beside * (skin_fall - fall)
        coverage = smoothstep((above + lashes) / (self._edge_width + BESIDE_SOFTNESS * self.beside) + 0.5)
        rigid = LASHES + BESIDE_LASHES * self.beside
        return coverage, skin_fall * (_stretch(above - rigid, skin_fall, self.reach - rigid) - 1)


def eyelids_of(frame: Frame, eye: Eye) -> Eyelids | None:
    """Measure how the eye closes in frames of the size of ``frame``; None if it is outside the picture."""
    corners = np.array([[x, y] for x in (-SIDES, 1 + SIDES) for y in (-MAX_REACH - 0.5, 0.9)], np.float32)
    box = box_around(eye.origin + corners @ eye.axes, 2, frame)
    if box is None:
        return None
    columns, rows = np.meshgrid(np.arange(box.width, dtype=np.float32), np.arange(box.height, dtype=np.float32))
    positions = np.stack([columns, rows], -1)
    offset = positions + np.array([box.left, box.top], np.float32) - eye.origin
    x, y = np.moveaxis(np.asarray(offset @ (eye.axes.T / eye.width**2), np.float32), -1, 0)
    beside, lower = smoothstep(1 - x / BESIDE), lid_edge(eye.lower, x)
    return Eyelids(
        box,
        positions,
        eye.axes[1],
        above=lid_edge(eye.upper, x) - y,
        below=y - lower,
        gap=_gap(eye, x),
        calm_gap=_calm_gap(eye, x + BESIDE_SHIFT * beside),
        rise=np.maximum(LOWER_SHARE * lower, 0),
        beside=beside,
        reach=np.asarray(np.interp(x, COLUMNS, eye.reach), np.float32),
    )


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
