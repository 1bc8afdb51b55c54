"""A uniform random sample of a stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Reservoir(Generic[T]):
    """At most ``size`` items, each item of the stream equally likely to be among them.

    Algorithm R of Vitter, "Random Sampling with a Reservoir", ACM Transactions on Mathematical Software 11(1), 1985.
    The seed is fixed, so the same stream gives the same sample.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: list[T] = []
        self._random = np.random.default_rng(0)
        self.count = 0  # items offered so far

    @property
    def items(self) -> Sequence[T]:
        return self._items

    def offer(self, create: Callable[[], T]) -> None:
        """Offer the next item of the stream; ``create`` is called only if it is sampled."""
        index = self.count if self.count < self._size else int(self._random.integers(self.count + 1))
        self.count += 1
        if index < self._size:
            self._items[index : index + 1] = [create()]
