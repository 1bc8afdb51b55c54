from __future__ import annotations

import pytest

from lipsync.engines.hybrid.mouth_reader import MouthReader
from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.wav2lip.crop import aligned_crop
from lipsync.faces.geometry import MESH, canonical_face, fit_pose
from lipsync.speech.motion import load_basis


@pytest.fixture(scope="module")
def basis():
    return load_basis()


@pytest.fixture(scope="module")
def frame(photo, to_frame):
    return to_frame(photo, 0)


@pytest.fixture(scope="module")
def face(frame, landmarker):
    return landmarker.find(frame)[0]


@pytest.fixture(scope="module")
def crop(face):
    return aligned_crop(face.landmarks)


@pytest.fixture(scope="module")
def closed(face):
    points = face.landmarks[None, :MESH]
    return close_lips(fit_pose(points, canonical_face()).to_face(points)[0])


@pytest.fixture(scope="module")
def reader(landmarker, basis, closed):
    return MouthReader(landmarker, basis, closed)
