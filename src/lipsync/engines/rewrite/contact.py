"""The shade where closed lips touch, measured from the speaker's closed mouths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lipsync.engines.rewrite.mattes import SAMPLES, STEPS, lip_contours
from lipsync.engines.rewrite.mouth import Mouth
from lipsync.frames.patch import remap
from lipsync.types import Float32

CLOSED_GAP: Final = 0.015  # eye distances between lips that count as closed
BESIDE: Final = 0.03  # eye distances from the seam to where the lips have their own light
DEFAULT_SHADE, MAX_SHADE = 0.18, 0.35  # of the light
MIN_MOUTHS: Final = 2
NEARLY_CLOSED: Final = 0.025  # eye distances between lips that should have a shade between them
LEAST_SHADE, FADED = 0.03, 0.6  # of the light; share of the usual shade below which it is missing
SEAM_COST: Final = 0.05  # of lips without any shade between them, see ``donors``


@dataclass(frozen=True, slots=True)
class Gap:
    """The gap between the lips: the colour (3,) of its ``cavity``, and the ``shade`` where the lips touch, 0..1.

    ``blur``: sigma of the footage's edges, in eye distances.
    """

    cavity: Float32
    shade: float
    blur: float


def contact_shade(mouths: Sequence[Mouth]) -> float:
    """The share of the light that is lost where the speaker's lips touch; a default if too few mouths are closed."""
    shades = [_shade(mouth) for mouth in mouths if mouth.lips.gap < CLOSED_GAP]
    return float(np.clip(np.median(shades), 0, MAX_SHADE)) if len(shades) >= MIN_MOUTHS else DEFAULT_SHADE


def seam_costs(mouths: Sequence[Mouth]) -> list[float]:
    """The cost of donors whose lips touch without the speaker's usual shade: they are blurred, or teeth shine through.

    Mouths that are open cost nothing.
    """
    shades = [_shade(mouth) if mouth.lips.gap < NEARLY_CLOSED else np.nan for mouth in mouths]
    if np.isfinite(shades).sum() < MIN_MOUTHS:
        return [0.0] * len(mouths)
    usual = max(float(np.nanmedian(shades)), LEAST_SHADE)
    missing = np.nan_to_num(np.clip((FADED * usual - np.array(shades)) / usual, 0, 1))
    return [float(cost) for cost in SEAM_COST * missing]


def _shade(mouth: Mouth) -> float:
    """How much darker the luma is along the seam than on both lips beside it, in the middle half of the mouth."""
    contours = lip_contours(mouth.lips)
    lips, middle = mouth.lips, slice(SAMPLES // 4, SAMPLES - SAMPLES // 4)
    position = STEPS[middle, None] * lips.width
    heights = contours.heights.mean(0)[middle, None] + np.array([-BESIDE, 0, BESIDE]) * lips.unit
    points = lips.origin + position[..., None] * lips.along + heights[..., None] * lips.down
    values = remap(mouth.patch, points.astype(np.float32))[..., 0]
    above, seam, below = np.asarray(values, np.float32).mean(0)
    return 1 - 2 * float(seam) / max(float(above + below), 1.0)
