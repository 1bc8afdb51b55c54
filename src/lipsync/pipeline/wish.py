"""Enhancement as people ask for it, in a few words."""

from __future__ import annotations

from dataclasses import replace

from lipsync.enhancers import check_shares, parse_upscale
from lipsync.enhancers.base import EnhancerOptions
from lipsync.errors import OptionInvalid
from lipsync.pipeline.job import Enhancement


def parse_enhancement(
    enhance: str | None,
    upscale: str | None,
    options: EnhancerOptions,
    *,
    seconds: float | None = None,
    required: bool = True,
) -> Enhancement | None:
    """``enhance``: NAME or NAME:STRENGTH, a restorer and how much of it is shown, 0..1; ``upscale``: 2 or 4, or with
    the upscaler's name 2:NAME; None if neither is asked for. Raises OptionInvalid.
    """
    check_shares(options)
    if not enhance and not upscale:
        return None
    restorer, strength = _named(enhance) if enhance else (None, options.strength)
    factor, upscaler = parse_upscale(upscale) if upscale else (1, None)
    return Enhancement(restorer, factor, upscaler, replace(options, strength=strength), seconds, required)


def _named(text: str) -> tuple[str, float]:
    name, colon, strength = text.partition(":")
    if not colon:
        return name, 1.0
    try:
        share = float(strength)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise OptionInvalid(f"{text}: the strength after the name is a number from 0 to 1")
    return name, share
