"""The notation of the colour behind transparent video."""

from __future__ import annotations

import re
from typing import Final

from lipsync.errors import OptionInvalid

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
}
COLOUR_HELP: Final = f"#RRGGBB, or {', '.join(name for name in COLOURS if name != 'gray')}"


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return the colour of ``#RRGGBB``, ``#RGB`` or a name in COLOURS. Raises OptionInvalid."""
    digits = re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", text.lower())
    if digits is None:
        if text.lower() not in COLOURS:
            raise OptionInvalid(f"invalid background {text!a}: expected {COLOUR_HELP}")
        return COLOURS[text.lower()]
    value = digits[1] if len(digits[1]) == 6 else "".join(2 * digit for digit in digits[1])
    return int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16)
