"""Meshes as motion coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.mesh_reader import MeshReader, measures_of
from lipsync.faces.geometry import LEFT_CORNER, RIGHT_CORNER, canonical_face, opening
from lipsync.speech.motion import load_basis


def motion(rows: int = 20) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, 12)).astype(np.float32)


def test_motion_is_read_back_from_the_meshes_that_it_makes():
    basis, closed, rows = load_basis(), canonical_face(), motion()
    read = MeshReader(basis, closed).measure(closed + basis.displacement(rows))
    assert np.abs((read - rows) @ measures_of(basis).measures).max() < 0.003
    assert np.corrcoef(read[:, :4].ravel(), rows[:, :4].ravel())[0, 1] > 0.99


def test_measures_are_the_change_of_opening_and_width():
    basis, closed, rows = load_basis(), canonical_face(), motion()
    rows[:, 0] += 3  # open
    meshes = closed + basis.displacement(rows)
    found = (rows - rows[0]) @ measures_of(basis).measures
    wide = np.linalg.norm(meshes[:, LEFT_CORNER] - meshes[:, RIGHT_CORNER], axis=-1)
    gaps = opening(meshes)
    if gaps.min() > 0.05:
        assert found[:, 0] == pytest.approx(gaps - gaps[0], abs=0.01)
    assert found[:, 1] == pytest.approx(wide - wide[0], abs=0.01)
