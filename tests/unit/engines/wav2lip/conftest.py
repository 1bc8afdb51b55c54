"""Random weights, by the same rule as in the stored reference results of the original."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from lipsync.engines.wav2lip.architecture import expected_weights


def random_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    dice = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return dice.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith("running_mean"):
        return (0.1 * dice.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        base = 1.0 if name.endswith("conv_block.1.weight") else 0.0
        return (base + 0.1 * dice.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (dice.standard_normal(shape) * np.sqrt(1.0 / fan_in)).astype(np.float32)


@pytest.fixture(scope="session")
def weights():
    """All tensors of a checkpoint by name."""
    return {name: random_tensor(name, shape) for name, shape in expected_weights().items()}
