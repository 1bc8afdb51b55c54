"""A face brought into the square that restoring networks were trained on."""

from __future__ import annotations

from typing import Final

import numpy as np

from lipsync.types import Float32

# Where the eyes, the nose's tip and the mouth's corners lie in a square of 512 pixels: the FFHQ alignment (Karras et
# al., "A style-based generator architecture for generative adversarial networks", 2019) as facexlib has it.
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
EYES: Final = ((33, 133, 159, 145), (263, 362, 386, 374))  # of the mesh: corners and lids
NOSE, CORNERS = 1, (61, 291)


def five_points(points: Float32) -> Float32:
    """Eyes, nose, mouth's corners (5, 2) of a face's mesh (>= 468, 2), those on the picture's left first."""
    eyes = [points[list(eye)].mean(0) for eye in EYES]
    return np.stack([*eyes, points[NOSE], *points[list(CORNERS)]]).astype(np.float32)


def square_matrix(points: Float32, side: int) -> Float32:
    """The map (2, 3) from pixels of the network's square to pixels of the picture, for a face's mesh (>= 468, 2).

    The similarity that fits best by least squares (Umeyama, 1991); in two dimensions points are complex numbers, and
    it is the regression of the one on the other.
    """
    seen = _complex(five_points(points))
    wanted = _complex((TEMPLATE + 0.5) * (side / TEMPLATE_SIDE) - 0.5)
    away = wanted - wanted.mean()
    turn = (away.conj() @ (seen - seen.mean())) / (away.conj() @ away).real
    shift = seen.mean() - turn * wanted.mean()
    return np.asarray([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)


def _complex(
    points: Float32 | np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    return np.asarray(points[:, 0] + 1j * points[:, 1], np.complex128)
