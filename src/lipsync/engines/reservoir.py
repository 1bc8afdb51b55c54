"""A uniform sample of a stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Reservoir(Generic[T]):
    """Up to ``size`` items, each item of the stream kept with equal probability.

    Reservoir sampling: Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985. The seed is fixed, so that the
    same stream gives the same sample.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._random = np.random.default_rng(0)
        self.items: list[T] = []
        self.count = 0

    def offer(self, make: Callable[[], T]) -> None:
        """Count one item of the stream; call ``make`` for its value only if it is kept."""
        slot = self.count if self.count < self._size else int(self._random.integers(self.count + 1))
        self.count += 1
        if slot < self._size:
            self.items[slot : slot + 1] = [make()]
