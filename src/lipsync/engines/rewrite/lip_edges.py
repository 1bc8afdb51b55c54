"""Where the lips of an open mouth really begin: the tracked inner edge may leave teeth or cavity on the lip's side.

Along the normal of each place of the inner edge, the picture changes from the inside of the mouth to the lip. The lip
is where the colours stay near that of its middle.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.mattes import SAMPLES
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER
from lipsync.frames.blend import smoothstep
from lipsync.frames.patch import remap
from lipsync.types import Float32, Plane

COLUMNS: Final = np.array(((*range(11),), (0, *range(19, 9, -1))))  # of the inner edge, upper and lower lip, as numbers
PLACES: Final = 33  # along an inner edge
DEPTHS: Final = 24  # samples of each profile
REACH: Final = 0.6  # of the lip's thickness that is searched
LIGHT_RANGE, CHROMA_RANGE = 0.2, 6.0  # of a lip's colour from its middle: share of its luma; 8-bit code values
CONTRAST: Final = 2.0  # in these ranges: a larger distance is another surface
RUN: Final = 5  # samples in the lip's colour that make it the lip
CORNER_FADE: Final = 0.1  # of the mouth's width, over which the error of an edge fades out: the corners stay
SMOOTHING: Final = 2.0  # places: sigma


def lip_errors(patch: Plane, points: Float32) -> Float32:
    """Pixels by which the lips begin outside their tracked inner edges, (2, SAMPLES + 1): upper and lower lip.

    ``patch`` (h, w, 3): Y'CbCr code values; ``points`` (468, 2): the mesh in pixels of it. At equal steps from corner
    to corner.
    """
    at = np.linspace(0, 1, PLACES)
    fade = smoothstep(np.minimum(at, 1 - at) / CORNER_FADE)
    knots = np.linspace(0, 1, 11)
    errors = np.zeros((2, SAMPLES + 1), np.float32)
    for lip, numbers in enumerate(COLUMNS):
        inner, outer = points[np.array(LIPS_INNER)[numbers]], points[np.array(LIPS_OUTER)[numbers]]
        edge, far = (np.stack([np.interp(at, knots, side[:, k]) for k in (0, 1)], 1) for side in (inner, outer))
        error = _first_of_lip(_profiles(patch, edge, far)) * np.linalg.norm(far - edge, axis=1)
        smooth = cv2.GaussianBlur(_median(error)[None], (0, 0), SMOOTHING)[0]
        errors[lip] = np.interp(np.linspace(0, 1, SAMPLES + 1), at, smooth * fade)
    return errors


def _profiles(patch: Plane, edge: Float32, far: Float32) -> Float32:
    """Colours from the inner edge to REACH of the lip, (PLACES, DEPTHS, 3), then of its middle."""
    share = np.linspace(0, REACH, DEPTHS)[None, :, None]
    places = edge[:, None] + share * (far - edge)[:, None]
    return np.asarray(remap(patch, places.astype(np.float32)), np.float32)


def _first_of_lip(profiles: Float32) -> Float32:
    """The share of the lip's thickness at which it begins, (PLACES,), 0 if it begins at the edge."""
    code = 1.0 if profiles.max() < 256 else 4.0
    middle = np.median(profiles[:, DEPTHS // 2 :].reshape(-1, 3), axis=0)
    own = profiles[:, -DEPTHS // 4 :].mean(1)
    reference = (own + middle) / 2
    difference = np.abs(profiles - reference[:, None])
    light = difference[..., 0] / (LIGHT_RANGE * np.maximum(reference[:, None, 0], 1))
    distance = light + difference[..., 1:].max(-1) / (CHROMA_RANGE * code)
    other = np.cumsum(distance >= CONTRAST, axis=1)
    is_lip = other[:, RUN:] == other[:, :-RUN]  # no sample of the next RUN is another surface
    first = np.where(is_lip.any(1), is_lip.argmax(1) + (other[:, 0] > 0), 0)
    return np.asarray(first / (DEPTHS - 1) * REACH, np.float32)


def _median(values: Float32) -> Float32:
    padded = np.pad(values, 2, mode="edge")
    return np.asarray(np.median(np.stack([padded[k : k + len(values)] for k in range(5)]), axis=0), np.float32)
