"""How the result is encoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the result is written: one lossy encode. ``pixel_format`` None keeps the source's depth in 4:2:0."""

    codec: str = "libx264"
    crf: int = 17
    preset: str = "veryfast"
    pixel_format: str | None = None
    audio_bitrate: int = 192_000
