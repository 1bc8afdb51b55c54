"""Reject NaN and infinity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import ModelError


def check_finite(values: NDArray[np.floating], error: type[ModelError], subject: str) -> None:
    """Raise ``error`` if any value is NaN or infinite. ``subject``: the start of the message, with a verb."""
    if not np.isfinite(values).all():
        raise error(f"{subject} NaN or infinite values")
