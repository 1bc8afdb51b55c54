from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.hybrid.calibration import SAMPLE_SIZE, FaceSample, fit_correction
from lipsync.engines.hybrid.mouth_reader import landmarker_view
from lipsync.engines.wav2lip.crop import face_view
from lipsync.faces.region import region_of


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
