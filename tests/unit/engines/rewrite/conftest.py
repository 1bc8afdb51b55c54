from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lipsync.faces.geometry import MESH, canonical_face
from lipsync.faces.landmarker import Landmarker
from lipsync.speech.motion import Basis, load_basis
from lipsync.types import Float32, Frame


@pytest.fixture(scope="session")
def basis() -> Basis:
    return load_basis()


@pytest.fixture(scope="session")
def canonical() -> Float32:
    return canonical_face()


@pytest.fixture(scope="session")
def smile(photo, to_frame) -> Frame:
    """The astronaut's photo as a frame."""
    return to_frame(photo, 0)


@pytest.fixture(scope="session")
def smile_points(smile: Frame, landmarker: Landmarker) -> Float32:
    """Her landmarks, (468, 3) in pixels."""
    return landmarker.find(smile)[0].landmarks[:MESH]


@pytest.fixture
def copy_of() -> Callable[[Frame], Frame]:
    def copy(p: Frame) -> Frame:
        return Frame(p.index, p.y.copy(), p.u.copy(), p.v.copy(), p.depth, p.colour)

    return copy


@pytest.fixture
def grey() -> Frame:
    plane = np.random.default_rng(0).integers(60, 200, (96, 128)).astype(np.uint8)
    half = np.full((48, 64), 128, np.uint8)
    from lipsync.types import Colour

    return Frame(0, plane, half.copy(), half.copy(), 8, Colour())
