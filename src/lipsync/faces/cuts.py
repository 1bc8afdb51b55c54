"""Detect shot changes from luma thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipsync.types import Float32

MIN_CHANGE = 0.08  # change from which a cut is possible
MIN_PROMINENCE = 2.5  # how many times larger a cut is than the changes before and after it
NOISE_CONTRAST = 4.0  # code values: lower contrast counts as noise
MAX_REPEAT_CHANGE = 0.0005  # change up to which a frame repeats the one before, as after a rate conversion


def normalise_thumbnail(thumbnail: Float32) -> Float32:
    """Remove brightness and contrast from a thumbnail of any shape: a vector of unit length, to compare by ``change``.

    A constant last element keeps the noise of blank frames from being amplified.
    """
    centred = (thumbnail - thumbnail.mean()).ravel()
    extended = np.append(centred, np.float32(NOISE_CONTRAST * np.sqrt(centred.size)))
    return np.asarray(extended / np.linalg.norm(extended), np.float32)


def is_blank(thumbnail: Float32) -> bool:
    """Return whether a normalised thumbnail shows nothing, such as black between two shots."""
    return bool(thumbnail[-1] > np.sqrt(0.5))


def change(before: Float32, after: Float32) -> float:
    """Return the difference of two normalised thumbnails: 0 equal, 1 unrelated, 2 inverted."""
    return max(0.0, 1 - float(before @ after))


def is_cut_candidate(past: Sequence[Float32], current: Float32, following: Sequence[Float32]) -> bool:
    """Return whether a shot may begin with the ``current`` frame.

    All arguments are normalised thumbnails, ``past`` oldest first. Repeated frames count once and blank ones are
    ignored, so that after black only the first frame with content can begin a shot. A flash or a passing object is
    rejected because the scene returns, motion because it changes several frames in a row.
    """
    past, following = ([thumbnail for thumbnail in some if not is_blank(thumbnail)] for some in (past, following))
    if not past or is_blank(current) or (jump := change(past[-1], current)) < MIN_CHANGE:
        return False
    past, following = _distinct(past), _distinct([current, *following])[1:]
    before = change(past[-2], past[-1]) if len(past) > 1 else 0.0
    after = change(current, following[0]) if following else 0.0
    if jump < MIN_PROMINENCE * max(before, after):
        return False
    returns = [change(past[-1], later) for later in following] + [change(earlier, current) for earlier in past[:-1]]
    return min(returns, default=jump) > jump / 2


def _distinct(thumbnails: Sequence[Float32]) -> list[Float32]:
    distinct: list[Float32] = []
    for thumbnail in thumbnails:
        if not distinct or change(distinct[-1], thumbnail) > MAX_REPEAT_CHANGE:
            distinct.append(thumbnail)
    return distinct
