"""What is fine in a picture, how much of it another one lacks, and edges made crisp.

All luma is (h, w) float32 in code values of 8 bits; ``pixel``: the side of the generator's own pixel in pixels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import cv2
import numpy as np

from lipsync.frames.blend import smoothstep
from lipsync.types import Float32

HELD: Final = 1.6  # generator's pixels: the Gaussian that leaves what a generator surely holds
OCTAVES: Final = 3
SHARPEST: Final = 0.6  # pixels: below that nothing is left to be parted
NOISE: Final = 0.05  # variance below which nothing is there to be matched
MOST_REGAINED = 2.5  # times the energy of the finest band
UNRELATED, RELATED = 0.9, 0.99  # correlation of bands of different things, and of the same
WINDOW: Final = 4.0  # generator's pixels: the side of a neighbourhood
ALIKE, UNLIKE = 6.0, 16.0  # code values of 8 bits by which pictures of the same differ, and of different things
ALIKE_WITHIN = 1.2  # generator's pixels: the blur in which pictures are compared
LIGHT = 20.0  # generator's pixels: the side of a neighbourhood in which pictures are made equally bright
STEPS = 5
REACH, WIDTH = 0.6, 0.85  # generator's pixels: how far an edge may take its values from, and the blur of the mask
SETTLED = 0.4  # generator's pixels: the blur in which its raster does not show in an edge's course
FAINT, STEEP = 4.0, 20.0  # code values of 8 bits across an edge: left alone; narrowed fully
OUTLIER = 3.5  # median amplitudes: grain is never stronger


def blurred(luma: Float32, sigma: float) -> Float32:
    return luma if sigma < 0.3 else np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)


def mean_around(values: Float32, side: float) -> Float32:
    """The mean of a square neighbourhood of each pixel."""
    odd = max(3, round(side) | 1)
    return np.asarray(cv2.blur(values, (odd, odd), borderType=cv2.BORDER_REFLECT_101), np.float32)


def missing_detail(
    seen: Float32, source: Float32, pixel: float, kept: Float32 | None = None, certain: Float32 | None = None
) -> Float32:
    """What is to be added to ``seen`` to give it the fine structure of ``source``, which shows the same place.

    Bands of an octave, as in a Laplacian pyramid (Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code",
    IEEE Trans. Communications 31(4), 1983). Where what both hold agrees, the source's bands take the place of those
    that are seen; elsewhere each gets the gain that brings its local energy to the source's (as Shih et al., "Style
    Transfer for Headshot Portraits", SIGGRAPH 2014) given what both have in common already.
    ``kept``: the energy that the finest band had before ``source`` was looked up between pixels, which smooths grain.
    ``certain``: what ``agreeing`` says of the two, if that is known.
    """
    added = np.zeros_like(seen)
    sigmas = _sigmas(pixel)
    layers = [(image, *(blurred(image, sigma) for sigma in sigmas)) for image in (seen, source)]
    certain = agreeing(seen, source, pixel) if certain is None else certain
    for upper, lower in pairwise(range(len(sigmas) + 1)):
        own, band = (layer[upper] - layer[lower] for layer in layers)
        energy = mean_around(band * band, WINDOW * pixel)
        if upper == 0 and kept is not None:
            gain = np.sqrt(np.clip(kept / (energy + NOISE), 1, MOST_REGAINED))
            band, energy = band * gain, energy * gain * gain
        common = mean_around(own * band, WINDOW * pixel)
        missing = energy - mean_around(own * own, WINDOW * pixel)
        root = np.sqrt(np.maximum(common * common + energy * missing, 0))
        gain = np.clip((root - common) / (energy + NOISE), 0, 1)
        added += certain * (band - own) + (1 - certain) * gain * band
    return added


def agreeing(seen: Float32, source: Float32, pixel: float) -> Float32:
    """How surely both show one structure in one place, 0..1: how well what the generator just holds correlates."""
    coarse, fine = HELD * pixel, HELD / 2 * pixel
    own, band = (blurred(image, fine) - blurred(image, coarse) for image in (seen, source))
    common, first, second = (mean_around(product, WINDOW * pixel) for product in (own * band, own * own, band * band))
    together = common / np.sqrt((first + NOISE) * (second + NOISE))
    return smoothstep((together - UNRELATED) / (RELATED - UNRELATED))


def fine_energy(source: Float32, pixel: float) -> Float32:
    """The local energy of the finest band."""
    return mean_around(np.square(source - blurred(source, _sigmas(pixel)[0])), WINDOW * pixel)


def _sigmas(pixel: float) -> list[float]:
    """What blur parts one band from the next, the finest first."""
    return [sigma for k in reversed(range(OCTAVES)) if (sigma := HELD * pixel / 2**k) >= SHARPEST] or [HELD * pixel]


def alike(seen: Float32, source: Float32, pixel: float) -> Float32:
    """How much of each pixel shows the same in both, 0..1, beyond differences of light and of sharpness."""
    apart = blurred(source - seen, ALIKE_WITHIN * pixel)
    apart = np.abs(apart - mean_around(apart, LIGHT * pixel))
    smooth = smoothstep((UNLIKE - apart) / (UNLIKE - ALIKE))
    side = 2 * round(pixel) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return blurred(np.asarray(cv2.erode(smooth, kernel), np.float32), pixel)


def shock_filter(luma: Float32, pixel: float) -> Float32:
    """The same with its edges narrowed, none of them made higher, so that there are no halos; faint ones stay soft.

    Unsharp masking held between the least and the greatest value nearby, again and again, which is a shock filter
    (Kramer and Bruckner, "Iterations of a Non-linear Transformation for Enhancement of Digital Images", Pattern
    Recognition 7, 1975; Osher and Rudin, SIAM J. Numerical Analysis 27(4), 1990). At twice the size, for what it makes
    are steps, which would show the raster.
    """
    size = luma.shape[1], luma.shape[0]
    large = np.asarray(cv2.resize(luma, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.float32)
    side = 2 * max(1, round(2 * REACH * pixel)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    low, high = cv2.erode(large, kernel), cv2.dilate(large, kernel)
    result = blurred(large, 2 * SETTLED * pixel)
    for _ in range(STEPS):
        result = np.clip(2 * result - blurred(result, 2 * WIDTH * pixel), low, high)
    steep = np.clip((high - low - FAINT) / (STEEP - FAINT), 0, 1)
    narrowed = large + blurred(np.asarray(steep, np.float32), pixel) * (result - large)
    return np.asarray(cv2.resize(narrowed, size, interpolation=cv2.INTER_AREA), np.float32)


def grain_of(patch: Float32, pixel: float) -> Float32:
    """The finest structure of a patch of skin, without what is more than grain; mirrored, so that it can be tiled."""
    fine = patch - blurred(patch, HELD / 2 * pixel)
    most = OUTLIER * float(np.median(np.abs(fine)))
    fine = np.clip(fine, -most, most)
    row = np.concatenate([fine, fine[:, ::-1]], 1)
    return np.concatenate([row, row[::-1]])


def tiled(tile: Float32, origin: tuple[int, int], shape: tuple[int, ...]) -> Float32:
    """The tile again and again over (h, w), one of its corners at ``origin`` (x, y)."""
    rows = (np.arange(shape[0]) - origin[1]) % tile.shape[0]
    columns = (np.arange(shape[1]) - origin[0]) % tile.shape[1]
    return np.asarray(tile[rows][:, columns])


def energy(luma: Float32) -> Float32:
    """The Laplacian of it, whose square tells how sharp it is."""
    return np.asarray(cv2.Laplacian(luma, cv2.CV_32F), np.float32)
