from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.hybrid.mouth_reader import landmarker_view
from lipsync.engines.wav2lip.crop import face_view
from lipsync.faces.geometry import LIPS, opening
from lipsync.faces.region import region_of

BLACK = np.zeros((3, 96, 96), np.float32)


def gap(closed, basis, row):
    return float(opening(closed + basis.displacement(row[None]))[0])


def test_only_the_lower_half_comes_from_the_generator(frame, face, crop):
    region = region_of(face.landmarks)
    own, black = (landmarker_view(frame, region, crop, generated) for generated in (face_view(frame, crop), BLACK))
    assert own.shape == black.shape == (256, 256, 3)
    changed = np.abs(own - black).max(-1) > 0.1
    assert not changed[:110].any()
    assert changed[150:180, 110:146].mean() > 0.9


def test_motion_is_recovered_from_its_own_landmarks(reader, basis, closed):
    row = basis.neutral.copy()
    row[:3] += [1.5, -0.5, 0.5]
    mesh = (closed + basis.displacement(row[None])) * 80 + 300
    found = reader.measure(mesh)[0]
    moved = basis.displacement(np.stack([found, row]))[:, list(LIPS)]
    assert np.abs(moved[0] - moved[1]).max() < 0.01
    assert gap(closed, basis, found) == pytest.approx(gap(closed, basis, row), abs=0.003)


def test_a_face_of_96_pixels_is_read_almost_exactly(frame, face, crop, reader, basis, closed):
    small = reader.read(landmarker_view(frame, region_of(face.landmarks), crop, face_view(frame, crop)))
    true = reader.measure(face.landmarks[None])[0]
    assert small is not None
    assert gap(closed, basis, small) == pytest.approx(gap(closed, basis, true), abs=0.02)


def test_without_a_face_there_is_no_reading(reader):
    assert reader.read(np.full((256, 256, 3), 0.5, np.float32)) is None
