"""Where one shot ends and the next begins, as far as brightness can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipsync.types import Float32

NOTABLE = 0.08  # change from which a cut is possible
ALONE = 2.5  # a cut changes this much more than the pictures next to it
FLAT = 4.0  # code values: contrast below this is noise
REPEATED = 0.0005  # change below this is the same picture again, as in footage that was brought to a higher rate


def pattern(thumbnail: Float32) -> Float32:
    """A thumbnail of any shape without its brightness and contrast, as a vector of unit length to compare."""
    centred = (thumbnail - thumbnail.mean()).ravel()
    whole = np.append(centred, np.float32(FLAT * np.sqrt(centred.size)))
    return np.asarray(whole / np.linalg.norm(whole), np.float32)


def is_flat(one: Float32) -> bool:
    """Whether a pattern is of a picture with nothing in it, such as black between two shots."""
    return bool(one[-1] > np.sqrt(0.5))


def change(before: Float32, after: Float32) -> float:
    """How different two patterns are: 0 the same, 1 unrelated, 2 inverted."""
    return max(0.0, 1 - float(before @ after))


def maybe_cut(past: Sequence[Float32], here: Float32, coming: Sequence[Float32]) -> bool:
    """Whether a shot may begin with the picture ``here``, given the patterns before (oldest first) and after it.

    Repeated pictures count once and empty ones not at all: after black, it is the first picture with something in it
    that may begin a shot. A flash or something passing by comes back to what was; motion changes several in a row.
    """
    past, coming = ([one for one in some if not is_flat(one)] for some in (past, coming))
    if not past or is_flat(here) or (jump := change(past[-1], here)) < NOTABLE:
        return False
    past, coming = _distinct(past), _distinct([here, *coming])[1:]
    before = change(past[-2], past[-1]) if len(past) > 1 else 0.0
    after = change(here, coming[0]) if coming else 0.0
    if jump < ALONE * max(before, after):
        return False
    returns = [change(past[-1], later) for later in coming] + [change(earlier, here) for earlier in past[:-1]]
    return min(returns, default=jump) > jump / 2


def _distinct(patterns: Sequence[Float32]) -> list[Float32]:
    kept: list[Float32] = []
    for one in patterns:
        if not kept or change(kept[-1], one) > REPEATED:
            kept.append(one)
    return kept
