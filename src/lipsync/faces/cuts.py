"""Where one shot ends and the next begins, as far as brightness can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipsync.types import Float32

NOTABLE = 0.08  # change from which a cut is possible
ALONE = 2.5  # a cut changes this much more than the pictures next to it
FLAT = 4.0  # code values: contrast below this is noise
REPEATED = 0.0005  # change below this is the same picture again, as in footage that was brought to a higher rate


def change(before: Float32, after: Float32) -> float:
    """How different two thumbnails are: 0 the same up to brightness and contrast, 1 unrelated, 2 inverted."""
    one, other = before - before.mean(), after - after.mean()
    floor = FLAT**2
    shared = float((one * other).mean()) + floor
    spread = float(np.sqrt(((one**2).mean() + floor) * ((other**2).mean() + floor)))
    return max(0.0, 1 - shared / spread)


def maybe_cut(past: Sequence[Float32], here: Float32, coming: Sequence[Float32]) -> bool:
    """Whether a shot may begin with the picture ``here``, given the thumbnails before (oldest first) and after it.

    Repeated pictures count once. A flash or something passing by comes back to what was; motion changes several pictures in a row.
    """
    past, coming = _distinct(past), _distinct(coming)
    if not past:
        return False
    jump = change(past[-1], here)
    if jump < NOTABLE:
        return False
    before = change(past[-2], past[-1]) if len(past) > 1 else 0.0
    after = change(here, coming[0]) if coming else 0.0
    if jump < ALONE * max(before, after):
        return False
    returns = [change(past[-1], later) for later in coming] + [change(earlier, here) for earlier in past[:-1]]
    return min(returns, default=jump) > jump / 2


def _distinct(thumbnails: Sequence[Float32]) -> list[Float32]:
    kept: list[Float32] = []
    for thumbnail in thumbnails:
        if not kept or change(kept[-1], thumbnail) > REPEATED:
            kept.append(thumbnail)
    return kept
