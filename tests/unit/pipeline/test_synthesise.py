from __future__ import annotations

from itertools import islice

import numpy as np

from lipsync.pipeline.synthesise import tee_frames
from lipsync.types import Colour, Frame


def frames(count: int, read: list[int]):
    for k in range(count):
        read.append(k)
        yield Frame(k, *(np.full(shape, k, np.uint8) for shape in ((8, 8), (4, 4), (4, 4))), 8, Colour())


def test_each_iterator_gets_its_own_copy_of_every_frame():
    read: list[int] = []
    one, other, third = tee_frames(frames(6, read), 3)
    ahead = list(islice(one, 4))
    for frame in ahead:
        frame.y[:] = 99
    assert read == [0, 1, 2, 3]
    assert [int(p.y[0, 0]) for p in other] == [0, 1, 2, 3, 4, 5]
    assert [int(p.u[0, 0]) for p in third] == [0, 1, 2, 3, 4, 5]
    assert [p.index for p in one] == [4, 5]
    assert read == [0, 1, 2, 3, 4, 5]


def test_a_single_iterator_gets_the_frames_themselves():
    given = list(frames(3, []))
    (only,) = tee_frames(iter(given), 1)
    assert all(a is b for a, b in zip(only, given, strict=True))
