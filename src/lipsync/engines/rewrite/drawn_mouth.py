"""A mouth's inside drawn from nothing, for footage that never shows one: dark, a band of upper teeth, a tongue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipsync.engines.rewrite.donors import Donor, traits
from lipsync.engines.rewrite.mouth import Lips, Mouth
from lipsync.engines.rewrite.shape import opened
from lipsync.frames.blend import smoothstep
from lipsync.frames.patch import quantise
from lipsync.types import Float32

WIDTH, GAP = 0.5, 0.24  # eye distances
PIXELS = 320.0  # per eye distance
DRAWN = 0.03  # the price of showing a drawn mouth where a real one would do
TEETH, CURVE = 0.085, 0.035  # how far the teeth reach below the upper lip, and how much less at the corners


def cavity_colour(donors: Sequence[Donor], depth: int) -> Float32:
    """The dark of the mouth, (3,) Y'CbCr in code values: what real pictures show, else a deep warm brown."""
    unit = float(1 << (depth - 8))
    plain = np.array([30, 122, 136], np.float32) * unit
    open_ones = [d.mouth.patch.reshape(-1, 3) for d in donors if d.gap > 0.06]
    if not open_ones:
        return plain
    pixels = np.concatenate(open_ones).astype(np.float32)
    dark = pixels[pixels[:, 0] <= np.percentile(pixels[:, 0], 4)].mean(0)
    dark[0] = np.clip(dark[0], 20 * unit, 64 * unit)
    return np.asarray(dark, np.float32)


def drawn_donor(closed: Float32, skin: Float32, cavity: Float32, depth: int) -> Donor:
    """A drawn open mouth for the speaker with the ``closed`` mesh (468, 3); ``skin`` and ``cavity`` (3,) Y'CbCr."""
    height, width = int(PIXELS * (GAP + 0.1)), int(PIXELS * (WIDTH + 0.1))
    across = (np.arange(width) - width / 2)[None] / PIXELS
    down = np.arange(height)[:, None] / PIXELS - 0.05
    along = np.clip(np.abs(across) / (WIDTH / 2), 0, 1)
    arch = np.sqrt(1 - along**2)
    top = 0.35 * GAP * (1 - arch)
    picture = np.broadcast_to(cavity, (height, width, 3)).astype(np.float32).copy()
    tongue = smoothstep((down - (0.62 * GAP + 0.25 * GAP * along**2)) / 0.05) * smoothstep((0.8 - along) / 0.25)
    picture += 0.55 * tongue[..., None] * (_tinted(skin, 0.62, 0, 16) - picture)
    edge = top + TEETH - CURVE * along**2 + 0.004 * np.abs(np.sin(across * 2 * np.pi / 0.17))
    teeth = smoothstep((edge - down) / 0.012) * smoothstep((0.92 - along) / 0.3)
    between = 1 - 0.10 * np.exp(-((np.sin(across * np.pi / 0.085)) ** 2) / 0.02)
    lit = (0.72 + 0.28 * smoothstep((down - top) / 0.06)) * (1 - 0.5 * along**2) * between
    enamel = _tinted(skin, 1.0, 0.35, -4) * np.stack([lit, np.ones_like(lit), np.ones_like(lit)], -1)
    picture += teeth[..., None] * (enamel - picture)
    lips = Lips(
        np.array([width / 2 - WIDTH / 2 * PIXELS, 0.05 * PIXELS], np.float32),
        np.array([1, 0], np.float32),
        np.array([0, 1], np.float32),
        WIDTH * PIXELS,
        *_arches(),
        PIXELS,
    )
    looks = traits(opened(closed, GAP)[None], np.eye(3, dtype=np.float32)[None])[0]
    return Donor(Mouth(quantise(picture, depth), lips, None), looks, GAP, DRAWN)


def _arches() -> tuple[Float32, Float32]:
    place = np.linspace(0, 1, 11, dtype=np.float32)
    arch = np.sqrt(np.clip(1 - (2 * place - 1) ** 2, 0, 1))
    upper = 0.35 * GAP * (1 - arch) * PIXELS
    lower = GAP * (0.35 + 0.65 * arch) * PIXELS
    return np.stack([place, upper], 1).astype(np.float32), np.stack([place, lower], 1).astype(np.float32)


def _tinted(skin: Float32, light: float, neutral: float, red: float) -> Float32:
    """The skin's colour made lighter or darker, pulled towards grey by ``neutral``, and more or less red."""
    middle = 128.0 if skin.max() < 300 else 512.0
    chroma = middle + (skin[1:] - middle) * (1 - neutral) + np.array([0, red]) * middle / 128
    return np.asarray([skin[0] * light, *chroma], np.float32)
