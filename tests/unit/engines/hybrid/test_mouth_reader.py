from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.hybrid.calibration import SAMPLE_SIZE, FaceSample, fit_correction
from lipsync.engines.hybrid.mouth_reader import MouthReader, landmarker_view
from lipsync.engines.rewrite.shape import close_lips
from lipsync.engines.wav2lip.crop import aligned_crop, face_view
from lipsync.faces.geometry import LIPS, MESH, canonical_face, fit_pose, opening
from lipsync.faces.region import region_of
from lipsync.speech.motion import load_basis

BLACK = np.zeros((3, 96, 96), np.float32)


@pytest.fixture(scope="module")
def basis():
    return load_basis()


@pytest.fixture(scope="module")
def frame(photo, to_picture):
    return to_picture(photo, 0)


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


def test_the_sample_gives_a_correction(frame, face, crop, reader):
    sample = FaceSample()
    for _ in range(SAMPLE_SIZE + 5):
        sample.observe(frame, face, crop)
    correction = sample.correction(reader)
    assert correction is not None
    small = reader.read(landmarker_view(frame, region_of(face.landmarks), crop, face_view(frame, crop)))
    assert np.abs(correction(small) - reader.measure(face.landmarks[None])[0]).max() < 0.1


def test_without_a_readable_face_there_is_no_correction(reader):
    assert FaceSample().correction(reader) is None


def test_a_correction_restores_the_scale_of_coefficients_that_moved():
    true = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32) * [2, 0.01]
    read = true * 0.8 + 0.3
    correction = fit_correction(read, true)
    assert correction.slope == pytest.approx([1.25, 1.0], abs=0.03)
    assert np.abs(correction(read) - true).max() < 0.1
