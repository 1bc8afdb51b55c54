"""Frequency bands: detail that one image lacks against another, local similarity, and edge sharpening.

Luma is (h, w) float32 in 8-bit code values. ``pixel``: pixels per pixel of the generator that made ``generated``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import cv2
import numpy as np

from lipsync.frames.blend import smoothstep
from lipsync.types import Float32

COARSE_SIGMA: Final = 1.6  # generator pixels: structure that a generator reproduces survives this blur
OCTAVES: Final = 3
MIN_SIGMA: Final = 0.6  # pixels: a finer band would be empty
NOISE_VARIANCE: Final = 0.05  # added to energies
MAX_REGAIN = 2.5  # of the finest band's energy
MIN_CORRELATION, MAX_CORRELATION = 0.9, 0.99  # of bands of different objects and of the same one
WINDOW: Final = 4.0  # generator pixels: side of a neighbourhood
MAX_SAME, MIN_DIFFERENT = 6.0, 16.0  # 8-bit differences within one object and between two
COMPARE_SIGMA = 1.2  # generator pixels
LIGHT_WINDOW = 20.0  # generator pixels: side of the neighbourhood in which brightness is equalized
SHOCK_STEPS = 5
SHOCK_REACH, SHOCK_SIGMA = 0.6, 0.85  # generator pixels: neighbourhood of the limits, and blur of the unsharp mask
RASTER_SIGMA = 0.4  # generator pixels: hides the generator's raster along an edge
FAINT_EDGE, STEEP_EDGE = 4.0, 20.0  # 8-bit contrast of edges that are left alone and of those fully sharpened
MAX_GRAIN = 3.5  # median amplitudes


def blurred(luma: Float32, sigma: float) -> Float32:
    """Apply a Gaussian blur; ``sigma`` in pixels."""
    return luma if sigma < 0.3 else np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)


def mean_around(values: Float32, side: float) -> Float32:
    """Average over a square neighbourhood of each pixel."""
    odd = max(3, round(side) | 1)
    return np.asarray(cv2.blur(values, (odd, odd), borderType=cv2.BORDER_REFLECT_101), np.float32)


def missing_detail(
    generated: Float32,
    source: Float32,
    pixel: float,
    source_energy: Float32 | None = None,
    agreement: Float32 | None = None,
) -> Float32:
    """Return the detail to add to ``generated`` so that it has the fine structure of ``source``.

    Both show the same place. Octave bands as in a Laplacian pyramid (Burt and Adelson, "The Laplacian Pyramid as a
    Compact Image Code", IEEE Trans. Communications 31(4), 1983). Where coarse structure agrees, the source's bands
    replace the generated ones; elsewhere the source's bands are added with the gain that brings the local energy to
    the source's (as Shih et al., "Style Transfer for Headshot Portraits", SIGGRAPH 2014), given what both share.
    ``source_energy``: ``fine_energy`` of the source before warping, which smooths grain. ``agreement``: the result of
    ``correlation``, if already computed.
    """
    added = np.zeros_like(generated)
    sigmas = _sigmas(pixel)
    layers = [(image, *(blurred(image, sigma) for sigma in sigmas)) for image in (generated, source)]
    agreement = correlation(generated, source, pixel) if agreement is None else agreement
    for upper, lower in pairwise(range(len(sigmas) + 1)):
        own, band = (layer[upper] - layer[lower] for layer in layers)
        energy = mean_around(band * band, WINDOW * pixel)
        if upper == 0 and source_energy is not None:
            gain = np.sqrt(np.clip(source_energy / (energy + NOISE_VARIANCE), 1, MAX_REGAIN))
            band, energy = band * gain, energy * gain * gain
        common = mean_around(own * band, WINDOW * pixel)
        missing = energy - mean_around(own * own, WINDOW * pixel)
        root = np.sqrt(np.maximum(common * common + energy * missing, 0))
        gain = np.clip((root - common) / (energy + NOISE_VARIANCE), 0, 1)
        added += agreement * (band - own) + (1 - agreement) * gain * band
    return added


def correlation(generated: Float32, source: Float32, pixel: float) -> Float32:
    """Return how surely both show the same structure at each pixel, 0..1.

    It is the local correlation of the finest band that a generator reproduces.
    """
    coarse, fine = COARSE_SIGMA * pixel, COARSE_SIGMA / 2 * pixel
    own, band = (blurred(image, fine) - blurred(image, coarse) for image in (generated, source))
    common, first, second = (mean_around(product, WINDOW * pixel) for product in (own * band, own * own, band * band))
    coefficient = common / np.sqrt((first + NOISE_VARIANCE) * (second + NOISE_VARIANCE))
    return smoothstep((coefficient - MIN_CORRELATION) / (MAX_CORRELATION - MIN_CORRELATION))


def fine_energy(source: Float32, pixel: float) -> Float32:
    """Return the local energy of the finest band."""
    return mean_around(np.square(source - blurred(source, _sigmas(pixel)[0])), WINDOW * pixel)


def _sigmas(pixel: float) -> list[float]:
    """Return the blurs that separate the bands, the finest first."""
    return [sigma for k in reversed(range(OCTAVES)) if (sigma := COARSE_SIGMA * pixel / 2**k) >= MIN_SIGMA] or [
        COARSE_SIGMA * pixel
    ]


def similarity(generated: Float32, source: Float32, pixel: float) -> Float32:
    """Return how similar both are at each pixel, 0..1, regardless of lighting and sharpness."""
    difference = blurred(source - generated, COMPARE_SIGMA * pixel)
    difference = np.abs(difference - mean_around(difference, LIGHT_WINDOW * pixel))
    smooth = smoothstep((MIN_DIFFERENT - difference) / (MIN_DIFFERENT - MAX_SAME))
    side = 2 * round(pixel) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return blurred(np.asarray(cv2.erode(smooth, kernel), np.float32), pixel)


def shock_filter(luma: Float32, pixel: float) -> Float32:
    """Narrow edges without raising their contrast, so that there are no halos; leave faint edges soft.

    Repeated unsharp masking, clipped to the local minimum and maximum, is a shock filter (Kramer and Bruckner,
    "Iterations of a Non-linear Transformation for Enhancement of Digital Images", Pattern Recognition 7, 1975; Osher
    and Rudin, SIAM J. Numerical Analysis 27(4), 1990). It runs at twice the size, because its steps would show the
    pixel raster.
    """
    size = luma.shape[1], luma.shape[0]
    large = np.asarray(cv2.resize(luma, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.float32)
    side = 2 * max(1, round(2 * SHOCK_REACH * pixel)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    low, high = cv2.erode(large, kernel), cv2.dilate(large, kernel)
    result = blurred(large, 2 * RASTER_SIGMA * pixel)
    for _ in range(SHOCK_STEPS):
        result = np.clip(2 * result - blurred(result, 2 * SHOCK_SIGMA * pixel), low, high)
    steep = np.clip((high - low - FAINT_EDGE) / (STEEP_EDGE - FAINT_EDGE), 0, 1)
    narrowed = large + blurred(np.asarray(steep, np.float32), pixel) * (result - large)
    return np.asarray(cv2.resize(narrowed, size, interpolation=cv2.INTER_AREA), np.float32)


def grain_of(patch: Float32, pixel: float) -> Float32:
    """Return the grain of a patch of skin, with outliers clipped, mirrored so that it can be tiled."""
    fine = patch - blurred(patch, COARSE_SIGMA / 2 * pixel)
    limit = MAX_GRAIN * float(np.median(np.abs(fine)))
    fine = np.clip(fine, -limit, limit)
    row = np.concatenate([fine, fine[:, ::-1]], 1)
    return np.concatenate([row, row[::-1]])


def tiled(tile: Float32, origin: tuple[int, int], shape: tuple[int, ...]) -> Float32:
    """Repeat a tile over (h, w), with a corner at ``origin`` (x, y)."""
    rows = (np.arange(shape[0]) - origin[1]) % tile.shape[0]
    columns = (np.arange(shape[1]) - origin[0]) % tile.shape[1]
    return np.asarray(tile[rows][:, columns])


def laplacian(luma: Float32) -> Float32:
    """Return the Laplacian, whose square measures sharpness."""
    return np.asarray(cv2.Laplacian(luma, cv2.CV_32F), np.float32)
