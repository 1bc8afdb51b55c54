"""Align a face to the square that restorers were trained on."""

from __future__ import annotations

from typing import Final

import numpy as np

from lipsync.faces.geometry import fit_similarity
from lipsync.types import Float32

# Positions of the eyes, the tip of the nose and the corners of the mouth in a square of 512 pixels: the FFHQ alignment
# (Karras et al., "A style-based generator architecture for generative adversarial networks", 2019) as in facexlib.
TEMPLATE: Final = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
TEMPLATE_SIDE: Final = 512
EYES: Final = ((33, 133, 159, 145), (263, 362, 386, 374))  # landmarks: corners and lids
NOSE, CORNERS = 1, (61, 291)


def five_points(points: Float32) -> Float32:
    """Return eyes, nose and corners of the mouth (5, 2) of landmarks (>= 468, 2); the left of the frame first."""
    eyes = [points[list(eye)].mean(0) for eye in EYES]
    return np.stack([*eyes, points[NOSE], *points[list(CORNERS)]]).astype(np.float32)


def square_matrix(points: Float32, side: int) -> Float32:
    """Return the map (2, 3) from pixels of the square to pixels of the frame, for landmarks (>= 468, 2)."""
    template = (TEMPLATE + 0.5) * (side / TEMPLATE_SIDE) - 0.5
    return fit_similarity(template.astype(np.float32), five_points(points))
