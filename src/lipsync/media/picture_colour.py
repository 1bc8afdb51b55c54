"""Convert a picture of any colour model and depth to 8-bit sRGB."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image, ImageCms

DEEP_GREY: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # 16 bits, also where Pillow uses 32
PROFILED: Final = ("RGB", "CMYK", "L", "LAB")  # modes that a profile can describe


def to_srgb(image: Image.Image, profile: bytes | None, *, transparent: bool) -> Image.Image:
    """Return a loaded picture as RGB, or as RGBA with straight alpha if ``transparent``; 8 bits, sRGB.

    ``profile``: its ICC profile (ICC.1:2022), applied by LittleCMS; None, or one of another colour model, leaves the
    values as they are, which most software takes for sRGB.
    """
    if image.mode in DEEP_GREY:
        image = Image.fromarray(np.asarray(np.clip(np.asarray(image), 0, 0xFFFF) >> 8, np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.asarray(np.clip(np.asarray(image) * 255, 0, 255), np.uint8))
    alpha = image.convert("RGBA").getchannel("A") if transparent else None
    if image.mode not in PROFILED:
        image = image.convert("RGBA" if transparent else "RGB").convert("RGB")
    image = _profiled(image, profile)
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _profiled(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert RGB, CMYK, grey or CIELAB to sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile, or one of another colour model
            return image.convert("RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")
