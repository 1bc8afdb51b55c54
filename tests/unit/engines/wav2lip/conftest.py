"""Random weights of the generator."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def weights(wav2lip_weights):
    """All tensors of a checkpoint by name."""
    return wav2lip_weights
