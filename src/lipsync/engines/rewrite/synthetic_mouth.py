"""A synthetic mouth for videos that never show an open one: a dark cavity, a band of upper teeth, a tongue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from lipsync.engines.rewrite.donors import Donor, mouth_descriptors
from lipsync.engines.rewrite.mouth import Lips, Mouth
from lipsync.engines.rewrite.shape import open_lips
from lipsync.frames.blend import smoothstep
from lipsync.frames.patch import quantise
from lipsync.types import Float32

WIDTH, GAP, MARGIN = 0.5, 0.24, 0.05  # eye distances
PIXELS: Final = 320.0  # per eye distance
UPPER_SHARE: Final = 0.35  # of the gap: how far the upper lip rises above the line between the corners
SYNTHETIC_COST: Final = 0.03  # of using the synthetic mouth where a real one would do
TEETH_LENGTH: Final = 0.085  # eye distances below the upper lip
TEETH_CURVE: Final = 0.035  # eye distances by which the teeth are shorter at the corners
DEFAULT_CAVITY: Final = (30, 122, 136)  # Y'CbCr in 8 bits: a dark, warm brown


def cavity_colour(donors: Sequence[Donor], depth: int) -> Float32:
    """The colour of the mouth's cavity, (3,) Y'CbCr code values: the darkest 4 % of open donors, or else a default."""
    unit = float(1 << (depth - 8))
    open_mouths = [donor.mouth.patch.reshape(-1, 3) for donor in donors if donor.gap > 0.06]
    if not open_mouths:
        return np.array(DEFAULT_CAVITY, np.float32) * unit
    pixels = np.concatenate(open_mouths).astype(np.float32)
    dark = pixels[pixels[:, 0] <= np.percentile(pixels[:, 0], 4)].mean(0)
    dark[0] = np.clip(dark[0], 20 * unit, 64 * unit)
    return np.asarray(dark, np.float32)


def synthetic_donor(closed: Float32, skin: Float32, cavity: Float32, depth: int) -> Donor:
    """A synthetic open mouth for the speaker's ``closed`` mesh (468, 3); ``skin`` and ``cavity`` (3,) are Y'CbCr."""
    lips = Lips(
        np.array([width_pixels() / 2 - WIDTH / 2 * PIXELS, MARGIN * PIXELS], np.float32),
        np.array([1, 0], np.float32),
        np.array([0, 1], np.float32),
        WIDTH * PIXELS,
        *_lip_curves(),
        PIXELS,
    )
    descriptor = mouth_descriptors(open_lips(closed, GAP)[None], np.eye(3, dtype=np.float32)[None])[0]
    return Donor(Mouth(quantise(_draw(skin, cavity), depth), lips, None), descriptor, GAP, cost=SYNTHETIC_COST)


def width_pixels() -> int:
    return int(PIXELS * (WIDTH + 2 * MARGIN))


def _draw(skin: Float32, cavity: Float32) -> Float32:
    """The mouth, (h, w, 3) Y'CbCr code values. Coordinates are in eye distances."""
    height, width = int(PIXELS * (GAP + 2 * MARGIN)), width_pixels()
    across = (np.arange(width) - width / 2)[None] / PIXELS
    down = np.arange(height)[:, None] / PIXELS - MARGIN
    along = np.clip(np.abs(across) / (WIDTH / 2), 0, 1)  # 0 in the middle, 1 at the corners
    upper_lip = UPPER_SHARE * GAP * (1 - np.sqrt(1 - along**2))
    image = np.broadcast_to(cavity, (height, width, 3)).astype(np.float32).copy()
    tongue = smoothstep((down - (0.62 * GAP + 0.25 * GAP * along**2)) / 0.05) * smoothstep((0.8 - along) / 0.25)
    image += 0.55 * tongue[..., None] * (_tinted(skin, 0.62, 0, 16) - image)
    edge = upper_lip + TEETH_LENGTH - TEETH_CURVE * along**2 + 0.004 * np.abs(np.sin(across * 2 * np.pi / 0.17))
    teeth = smoothstep((edge - down) / 0.012) * smoothstep((0.92 - along) / 0.3)
    seams = 1 - 0.10 * np.exp(-((np.sin(across * np.pi / 0.085)) ** 2) / 0.02)
    light = (0.72 + 0.28 * smoothstep((down - upper_lip) / 0.06)) * (1 - 0.5 * along**2) * seams
    enamel = _tinted(skin, 1.0, 0.35, -4) * np.stack([light, np.ones_like(light), np.ones_like(light)], -1)
    image += teeth[..., None] * (enamel - image)
    return image


def _lip_curves() -> tuple[Float32, Float32]:
    position = np.linspace(0, 1, 11, dtype=np.float32)
    arch = np.sqrt(np.clip(1 - (2 * position - 1) ** 2, 0, 1))
    upper = UPPER_SHARE * GAP * (1 - arch) * PIXELS
    lower = GAP * (UPPER_SHARE + (1 - UPPER_SHARE) * arch) * PIXELS
    return np.stack([position, upper], 1).astype(np.float32), np.stack([position, lower], 1).astype(np.float32)


def _tinted(skin: Float32, light: float, neutral: float, red: float) -> Float32:
    """The skin's colour with its luma scaled by ``light``, its chroma reduced by ``neutral`` and shifted to ``red``."""
    middle = 128.0 if skin.max() < 300 else 512.0
    chroma = middle + (skin[1:] - middle) * (1 - neutral) + np.array([0, red]) * middle / 128
    return np.asarray([skin[0] * light, *chroma], np.float32)
