"""Compact features of speech."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.speech import voice_features
from lipsync.speech.encoder import FEATURES
from lipsync.speech.voice_features import COMPONENTS, Projection, fit_projection, load_projection


def test_the_bundled_projection_fits_the_encoder():
    projection = load_projection()
    assert projection.mean.shape == (FEATURES,)
    assert projection.matrix.shape == (FEATURES, COMPONENTS)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_every_second_row_becomes_features_whatever_the_pieces(size):
    rows = np.arange(20, dtype=np.float32)[:, None]
    projection = Projection(np.zeros(1, np.float32), np.ones((1, 1), np.float32))
    found = np.concatenate(list(projection.features(rows[k : k + size] for k in range(0, 20, size))))
    assert found.ravel().tolist() == list(range(0, 20, 2))


def test_fitted_components_are_uncorrelated_and_those_that_tell_about_the_motion_come_first():
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((4000, 60)) @ rng.standard_normal((60, 60)) + 3).astype(np.float32)
    motion = (rows @ rng.standard_normal((60, 2)) + rng.standard_normal((4000, 2))).astype(np.float32)
    noise = 0.1 * rng.standard_normal((4000, 58))
    projection = fit_projection(rows, np.concatenate([motion, noise], 1, dtype=np.float32))
    found = (rows - projection.mean) @ projection.matrix
    assert found.shape[1] == voice_features.COMPONENTS
    assert (found**2).mean() == pytest.approx(1, abs=0.05)
    correlation = np.corrcoef(found.T) - np.eye(found.shape[1])
    assert np.abs(correlation).max() < 0.05
    assert found[:, :2].std(0).min() > 1.5 * found[:, 2:].std(0).max()
    known = np.linalg.lstsq(found[:, :2], motion - motion.mean(0), rcond=None)[0]
    assert np.corrcoef(found[:, :2] @ known[:, 0], motion[:, 0])[0, 1] > 0.95
