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


def test_fitted_components_are_uncorrelated_with_a_deviation_of_one():
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((2000, 60)) @ rng.standard_normal((60, 60)) + 3).astype(np.float32)
    projection = fit_projection(rows)
    found = (rows - projection.mean) @ projection.matrix
    np.testing.assert_allclose(found.std(0), 1, atol=0.01)
    correlation = np.corrcoef(found.T) - np.eye(found.shape[1])
    assert np.abs(correlation).max() < 0.05
    assert found.shape[1] == voice_features.COMPONENTS
