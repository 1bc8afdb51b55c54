"""Align a face to the square that restorers were trained on."""

from __future__ import annotations

from typing import Final

import numpy as np

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
    """Return the map (2, 3) from pixels of the square to pixels of the frame, for landmarks (>= 468, 2).

    It is the least-squares similarity transform (Umeyama, 1991), computed as a regression of complex numbers.
    """
    face = _complex(five_points(points))
    template = _complex((TEMPLATE + 0.5) * (side / TEMPLATE_SIDE) - 0.5)
    centred = template - template.mean()
    rotation = (centred.conj() @ (face - face.mean())) / (centred.conj() @ centred).real
    shift = face.mean() - rotation * template.mean()
    matrix = [[rotation.real, -rotation.imag, shift.real], [rotation.imag, rotation.real, shift.imag]]
    return np.asarray(matrix, np.float32)


def _complex(
    points: Float32 | np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    return np.asarray(points[:, 0] + 1j * points[:, 1], np.complex128)
