"""The look of one person's face in one shot, and where a frame differs from it.

A cell's usual colour is the median over the shot. Each frame's light is fitted first, by iteratively reweighted least
squares with Welsch's weights (Holland and Welsch, "Robust regression using iteratively reweighted least-squares",
Communications in Statistics A6, 1977), so that a change of light is no difference, and something in front of a part of
the face does not change the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.face_grid import SIDE, FaceColours, FaceGrid
from lipsync.types import Float32

MIN_SAMPLES: Final = 8  # frames of a shot from which its look is known
MIN_SPREAD: Final = (6.0, 2.0, 2.0)  # code values that a colour may differ by
NORMAL_QUARTILE: Final = 0.319  # standard deviations within which a quarter of a normal distribution is
ROUNDS: Final = 3
FIT_STEP: Final = 3  # one cell in so many takes part in the fit
TUNING: Final = 1.5  # standard deviations of Welsch's weight
LOWER_WEIGHT: Final = 0.3  # first weight of the lower face, which is covered more often than the rest
GREY: Final = 128.0  # chroma without colour
BLACK: Final = np.float32(16)  # luma
# Skin and lips against the skin of the upper face: shares of its luma, and differences of chroma over luma.
SKIN_LEVELS, SKIN_BLUE, SKIN_REDS = (0.4, 1.3), 0.08, (-0.06, 0.2)
RANGE, RESTLESS = (0.1, 0.9), 32.0  # quantiles of a cell that captions cross, and code values between them
RESTLESS_SHARE: Final = 0.3  # of the cells of a part that captions cover
INPAINT_CELLS: Final = 3.0
LEAST_SEEN: Final = 0.12  # share of frames in which a cell has such a colour
# For Y', Cb and Cr. Each is an affine map of all three, because coloured light has a gain for each of red, green and
# blue; luma has slopes in x and y as well.
COLOUR, LUMA = slice(0, 4), slice(0, 6)  # the terms of chroma and of luma
TERMS: Final = 6
Masked = np.ma.MaskedArray[Any, np.dtype[Any]]
LightFit = Float32  # (TERMS, 3): the factors of the terms in each channel


class UsualLook:
    """The usual colour of each cell and its standard deviation, both (SIDE, SIDE, 3), Y'CbCr in 8-bit code values."""

    def __init__(self, colour: Float32, spread: Float32, grid: FaceGrid) -> None:
        self._cells = np.flatnonzero(grid.skin)
        self._all_terms = _terms(colour).reshape(SIDE * SIDE, TERMS)
        self._terms = self._all_terms[self._cells]
        self._precision = np.float32(1) / spread.reshape(-1, 3)[self._cells]
        self._first_weight = np.where(grid.lower.reshape(-1)[self._cells], LOWER_WEIGHT, 1).astype(np.float32)

    def difference(self, frame: FaceColours, last: LightFit | None = None) -> tuple[Float32, LightFit]:
        """The difference of a frame's cells, (SIDE, SIDE) in standard deviations, and its light.

        It is 0 where the face is not visible. ``last``: the light of the frame before, where the fit begins.
        """
        residual, light = self.residual(frame, last)
        seen = frame.visible.reshape(-1)[self._cells]
        result = np.zeros(SIDE * SIDE, np.float32)
        result[self._cells] = np.where(seen, np.sqrt(_mean_squares(residual * self._precision)), 0)
        return result.reshape(SIDE, SIDE), light

    def lit(self, light: LightFit) -> Float32:
        """The usual colours in a light, (SIDE, SIDE, 3)."""
        return np.asarray(self._all_terms @ light, np.float32).reshape(SIDE, SIDE, 3)

    def residual(self, frame: FaceColours, last: LightFit | None = None) -> tuple[Float32, LightFit]:
        """The colours of the skin's cells minus the usual ones in the frame's light, (cells, 3), and that light."""
        observed = frame.colours.reshape(-1, 3)[self._cells].astype(np.float32)
        fitted = np.flatnonzero(frame.visible.reshape(-1)[self._cells])[::FIT_STEP]
        terms, values, precision = self._terms[fitted], observed[fitted], self._precision[fitted]
        both, weight, light = np.concatenate([terms, values], 1), self._first_weight[fitted], last
        for _ in range(ROUNDS):
            if light is not None:
                error = _mean_squares((values - terms @ light) * precision)
                weight = np.exp((error.min(initial=0) - error) / (2 * TUNING**2))
            light = _fitted_light(both, weight)
        assert light is not None
        return observed - self._terms @ light, light


def usual_look(frames: Sequence[FaceColours], grid: FaceGrid) -> UsualLook | None:
    """The look of a shot from some of its frames; None if they are too few.

    The spread is that of the nearer quarter of the frames, so that it does not count what covers the face in others.
    """
    if len(frames) < MIN_SAMPLES:
        return None
    shown = _shown(np.stack([frame.colours for frame in frames]), grid)
    colour = _usual_colour(shown, grid)
    spread = np.broadcast_to(np.array(MIN_SPREAD, np.float32), colour.shape).copy()
    first = UsualLook(colour, spread, grid)
    residuals = np.ma.masked_array(
        [first.residual(frame)[0] for frame in frames], np.ma.getmaskarray(shown)[:, grid.skin]
    )
    quarter = _quarter(np.ma.abs(residuals)) / NORMAL_QUARTILE
    spread[grid.skin] = np.maximum(spread[grid.skin], quarter)
    return UsualLook(colour, spread, grid)


def _shown(colours: NDArray[np.uint8], grid: FaceGrid) -> Masked:
    """The ``colours`` (n, SIDE, SIDE, 3) of cells in a shot, without those of captions.

    Captions can cover the lower face in most frames. Where a cell changes as much as they do, only frames count in
    which it has the colour of skin or lips. If it hardly ever has, as in a beard, all count; but none if most of the
    cells around it change.
    """
    like = _like_skin(colours, np.median(colours[:, grid.skin & ~grid.lower], 1))
    unlike = (like.mean(0) <= LEAST_SEEN) & grid.lower
    changing = np.ptp(np.quantile(colours, RANGE, axis=0), 0).max(-1) > RESTLESS
    count, parts = cv2.connectedComponents(unlike.astype(np.uint8), connectivity=8)
    sizes, restless = (np.bincount(parts[some], minlength=count) for some in (unlike, unlike & changing))
    captions = (restless > RESTLESS_SHARE * sizes)[parts] & unlike
    hidden = captions | (~like & grid.lower & ~unlike & changing)
    return np.ma.masked_array(colours, np.repeat(hidden[..., None], 3, -1))


def _usual_colour(shown: Masked, grid: FaceGrid) -> Float32:
    """The median colour (SIDE, SIDE, 3) of each cell; of those that were never shown, from the cells around them."""
    usual: Masked = np.ma.median(shown, 0)  # type: ignore[no-untyped-call]
    unknown = np.ma.getmaskarray(usual).any(-1) & grid.skin
    filled = np.rint(usual.filled(0)).astype(np.uint8)
    if unknown.any():
        hole = (unknown | ~grid.skin).astype(np.uint8)
        usual[unknown] = cv2.inpaint(filled, hole, INPAINT_CELLS, cv2.INPAINT_TELEA)[unknown]
    return np.asarray(usual.filled(0), np.float32)


def _quarter(residuals: Masked) -> Float32:
    """The lower quartile (cells, 3) of ``residuals`` (n, cells, 3); of cells without any, that of a usual cell."""
    ordered = np.sort(residuals.filled(np.inf), axis=0)
    counts = residuals.count(axis=0)
    quartile = np.take_along_axis(ordered, np.maximum(counts - 1, 0)[None] // 4, 0)[0]
    return np.asarray(np.where(counts > 0, quartile, np.median(quartile[counts[:, 0] > 0], 0)), np.float32)


def _like_skin(colours: NDArray[np.uint8], skin: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which of ``colours`` (n, SIDE, SIDE, 3) are like ``skin`` (n, 3) in the same frame, or redder, as lips are."""
    luma, reference = np.asarray(colours[..., 0], np.float32) - BLACK, np.asarray(skin, np.float32)
    skin_luma = reference[:, None, None, 0] - BLACK
    level = luma / np.maximum(skin_luma, 1)
    blue, red = (
        (colours[..., c] - np.float32(GREY)) / np.maximum(luma, 8)
        - (reference[:, None, None, c] - np.float32(GREY)) / np.maximum(skin_luma, 8)
        for c in (1, 2)
    )
    in_light = (level > SKIN_LEVELS[0]) & (level < SKIN_LEVELS[1])
    return np.asarray(in_light & (np.abs(blue) < SKIN_BLUE) & (red > SKIN_REDS[0]) & (red < SKIN_REDS[1]))


def _terms(colour: Float32) -> Float32:
    """The terms that the factors of a light multiply, (SIDE, SIDE, TERMS)."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    one = np.ones_like(x)
    luma, blue, red = colour[..., 0] / GREY, colour[..., 1] / GREY - 1, colour[..., 2] / GREY - 1
    return np.stack([luma, blue, red, one, x, y], -1)


def _mean_squares(values: Float32) -> Float32:
    """The mean square (n,) of each row of ``values`` (n, 3)."""
    return np.asarray(np.einsum("ij,ij->i", values, values) / 3, np.float32)


def _fitted_light(both: Float32, weight: Float32) -> LightFit:
    """The factors that give colours by least squares; ``both`` (n, TERMS + 3): the terms, then the colours.

    ``weight`` (n,): of each row.
    """
    products = (both * weight[:, None]).T @ both
    light = np.zeros((TERMS, 3), np.float32)
    light[LUMA, 0] = np.linalg.solve(products[LUMA, LUMA] + _ridge(TERMS), products[LUMA, TERMS])
    light[COLOUR, 1:] = np.linalg.solve(products[COLOUR, COLOUR] + _ridge(4), products[COLOUR, TERMS + 1 :])
    return light


def _ridge(count: int) -> Float32:
    return np.asarray(1e-3 * np.eye(count), np.float32)
