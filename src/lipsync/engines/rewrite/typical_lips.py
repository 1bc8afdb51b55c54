"""Which closed mouths do not look like this person's lips: pressed in, motion-blurred, or tracked beside the real ones.

Lips that are tucked in, for example, are tracked as closed, but show a second dark line, which looks like an open mouth
in every frame that is rendered with them. The shades of both lips are compared with their median over all donors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from lipsync.engines.rewrite.donors import Donor
from lipsync.engines.rewrite.mouth import Mouth
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER
from lipsync.frames.patch import remap
from lipsync.types import Float32

MIN_MOUTHS: Final = 5  # fewer say nothing about what is typical
SHUT: Final = 0.09  # eye distances between lips that may be closed; others are chosen for their shape
SHARES: Final = np.linspace(-0.3, 0.9, 13, dtype=np.float32)  # of a lip's thickness, from beyond its outer edge inwards
MANY: Final = 8  # closed mouths from which their median is typical; of fewer, the best one
USUAL: Final = 1.2  # of the median difference: lips that differ less cost nothing, so that shape decides among them
COST: Final = 0.06  # per median difference beyond that, see ``donors``
# Columns of both lips without the corners, as numbers of LIPS_OUTER and LIPS_INNER.
COLUMNS: Final = (*range(1, 10), *range(11, 20))


def with_lip_costs(donors: Sequence[Donor]) -> list[Donor]:
    """The donors, those of closed lips dearer by how much more they differ from the median of all than is usual."""
    shut = np.array([donor.gap < SHUT for donor in donors])
    if len(donors) < MIN_MOUTHS or not shut.any():
        return list(donors)
    shades = np.stack([lip_shades(donor.mouth) for donor in donors])
    difference = np.sqrt(((shades - np.median(shades, axis=0)) ** 2).mean((1, 2)))
    few = shut.sum() < MANY  # then odd ones may be the half of them
    usual, free = (difference[shut].min(), 1.0) if few else (np.median(difference[shut]), USUAL)
    costs = COST * shut * np.maximum(difference / max(float(usual), 1e-6) - free, 0)
    return [replace(donor, cost=donor.cost + float(cost)) for donor, cost in zip(donors, costs, strict=True)]


def lip_shades(mouth: Mouth) -> Float32:
    """The luma across both lips, (13, 18), with a mean of 0 and a standard deviation of 1."""
    assert mouth.points is not None
    outer, inner = (mouth.points[np.array(lips)[list(COLUMNS)]] for lips in (LIPS_OUTER, LIPS_INNER))
    places = outer + SHARES[:, None, None] * (inner - outer)
    luma = np.asarray(remap(mouth.patch, places.astype(np.float32)), np.float32)[..., 0]
    return np.asarray((luma - luma.mean()) / max(float(luma.std()), 1e-3), np.float32)
