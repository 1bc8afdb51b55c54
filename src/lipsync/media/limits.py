"""Limits on what is decoded and made, checked against what files state before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from lipsync.errors import InputTooLarge

MAX_PIXELS: Final = 12_288 * 12_288
MAX_DECODED_BYTES: Final = 2 << 30
MAX_OUTPUT_PIXELS: Final = 8192 * 4320
FRAMES_IN_MEMORY: Final = 16  # of a video at once: read ahead, held back and played backwards


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Limits on inputs and results, which errors name as the settings do: LIPSYNC_MAX_INPUT_SECONDS and so on.

    ``max_seconds``: of video or sound; None: any. ``max_pixels``: of a photo or a frame. ``max_decoded_bytes``: of a
    decoded photo, or of as many frames as are held at once. ``max_output_pixels``: of a frame of the result.
    """

    max_seconds: float | None = None
    max_pixels: int = MAX_PIXELS
    max_decoded_bytes: int = MAX_DECODED_BYTES
    max_output_pixels: int = MAX_OUTPUT_PIXELS

    def check_seconds(self, path: Path, seconds: Fraction) -> None:
        """Raise InputTooLarge if a file plays longer than allowed."""
        if self.max_seconds is not None and seconds > self.max_seconds:
            limit = f"the limit is {self.max_seconds:g} s (LIPSYNC_MAX_INPUT_SECONDS)"
            raise InputTooLarge(f"{path}: {float(seconds):.1f} s long; {limit}")

    def check_picture(self, path: Path, size: tuple[int, int], pixel_bytes: float, count: int = 1) -> None:
        """Raise InputTooLarge if ``count`` pictures of ``size`` (width, height) are too large to decode."""
        pixels = size[0] * size[1]
        what = f"{size[0]}x{size[1]}"
        if pixels > self.max_pixels:
            limit = f"the limit is {self.max_pixels} (LIPSYNC_MAX_INPUT_PIXELS)"
            raise InputTooLarge(f"{path}: {what} has {pixels} pixels; {limit}")
        needed = round(pixels * pixel_bytes) * count
        if needed > self.max_decoded_bytes:
            limit = f"the limit is {self.max_decoded_bytes} (LIPSYNC_MAX_DECODED_BYTES)"
            raise InputTooLarge(f"{path}: {what} takes {needed} bytes when decoded; {limit}")

    def check_output(self, path: Path, size: tuple[int, int]) -> None:
        """Raise InputTooLarge if frames of the result would be larger than allowed. ``size``: width and height."""
        pixels = size[0] * size[1]
        if pixels > self.max_output_pixels:
            limit = f"the limit is {self.max_output_pixels} (LIPSYNC_MAX_OUTPUT_PIXELS)"
            raise InputTooLarge(f"{path}: the result would have {size[0]}x{size[1]}, {pixels} pixels; {limit}")
