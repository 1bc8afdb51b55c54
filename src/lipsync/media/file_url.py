"""How a path is given to FFmpeg, so that it always opens that file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Else FFmpeg takes the number in photo%d.png for a pattern, and reads photo1.png, photo2.png ... instead.
READ_OPTIONS: Final[Mapping[str, str]] = {"pattern_type": "none"}


def file_url(path: Path) -> str:
    """Return the URL of a file. Without a scheme, a name such as ``10:30.mp4`` would name a protocol."""
    return f"file:{path}"
