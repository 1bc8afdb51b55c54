"""The look of one person's face in one shot, and where a frame differs from it.

A cell's usual colour is the median over the shot. Each frame's light is fitted first, by iteratively reweighted least
squares with Welsch's weights (Holland and Welsch, "Robust regression using iteratively reweighted least-squares",
Communications in Statistics A6, 1977), so that a change of light is no difference, and something in front of a part of
the face does not change the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

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
# For Y', Cb and Cr. Luma has a gain, an offset and slopes in x and y, chroma a gain of its colour and an offset.
LightFit = tuple[Float32, ...]


class UsualLook:
    """The usual colour of each cell and its standard deviation, both (SIDE, SIDE, 3), Y'CbCr in 8-bit code values."""

    def __init__(self, colour: Float32, spread: Float32, grid: FaceGrid) -> None:
        self._cells = np.flatnonzero(grid.skin)
        self._all_terms = [terms.reshape(SIDE * SIDE, -1) for terms in _terms(colour)]
        self._terms = [terms[self._cells] for terms in self._all_terms]
        self._precision = np.float32(1) / spread.reshape(-1, 3)[self._cells]
        self._first_weight = np.where(grid.lower.reshape(-1)[self._cells], LOWER_WEIGHT, 1).astype(np.float32)

    def difference(self, frame: FaceColours, last: LightFit | None = None) -> tuple[Float32, LightFit]:
        """The difference of a frame's cells, (SIDE, SIDE) in standard deviations, and its light.

        It is 0 where the face is not visible. ``last``: the light of the frame before, where the fit begins.
        """
        residual, light = self.residual(frame, last)
        seen = frame.visible.reshape(-1)[self._cells]
        result = np.zeros(SIDE * SIDE, np.float32)
        result[self._cells] = np.where(seen, np.sqrt(((residual * self._precision) ** 2).mean(1)), 0)
        return result.reshape(SIDE, SIDE), light

    def lit(self, light: LightFit) -> Float32:
        """The usual colours in a light, (SIDE, SIDE, 3)."""
        return _product(self._all_terms, light).reshape(SIDE, SIDE, 3)

    def residual(self, frame: FaceColours, last: LightFit | None = None) -> tuple[Float32, LightFit]:
        """The colours of the skin's cells minus the usual ones in the frame's light, (cells, 3), and that light."""
        observed = frame.colours.reshape(-1, 3)[self._cells].astype(np.float32)
        fitted = np.flatnonzero(frame.visible.reshape(-1)[self._cells])[::FIT_STEP]
        terms = [channel[fitted] for channel in self._terms]
        values, precision, weight = observed[fitted], self._precision[fitted], self._first_weight[fitted]
        light = last
        for _ in range(ROUNDS):
            if light is not None:
                error = (((values - _product(terms, light)) * precision) ** 2).mean(1)
                weight = np.exp((error.min(initial=0) - error) / (2 * TUNING**2))
            light = tuple(_least_squares(channel, values[:, c], weight) for c, channel in enumerate(terms))
        assert light is not None
        return observed - _product(self._terms, light), light


def usual_look(frames: Sequence[FaceColours], grid: FaceGrid) -> UsualLook | None:
    """The look of a shot from some of its frames; None if they are too few.

    The spread is that of the nearer quarter of the frames, so that it does not count what covers the face in others.
    """
    if len(frames) < MIN_SAMPLES:
        return None
    colour = np.median([frame.colours for frame in frames], 0).astype(np.float32)
    spread = np.broadcast_to(np.array(MIN_SPREAD, np.float32), colour.shape).copy()
    first = UsualLook(colour, spread, grid)
    residuals = np.abs([first.residual(frame)[0] for frame in frames])
    quarter = np.quantile(residuals, 0.25, axis=0) / NORMAL_QUARTILE
    spread[grid.skin] = np.maximum(spread[grid.skin], quarter)
    return UsualLook(colour, spread, grid)


def _terms(colour: Float32) -> tuple[Float32, Float32, Float32]:
    """The terms that the factors of a light multiply, for each channel (SIDE, SIDE, k)."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    one = np.ones_like(x)
    luma = np.stack([colour[..., 0] / GREY, one, x, y], -1)
    blue, red = (np.stack([colour[..., c] / GREY - 1, one], -1) for c in (1, 2))
    return luma, blue, red


def _product(terms: Sequence[Float32], light: LightFit) -> Float32:
    """The usual colours in a light, (n, 3)."""
    return np.stack([channel @ factors for channel, factors in zip(terms, light, strict=True)], 1)


def _least_squares(terms: Float32, values: Float32, weight: Float32) -> Float32:
    """The factors (k,) of ``terms`` (n, k) that give ``values`` (n,), each of its own weight."""
    weighted = terms * weight[:, None]
    ridge = 1e-3 * np.eye(terms.shape[1], dtype=np.float32)
    return np.asarray(np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ values), np.float32)
