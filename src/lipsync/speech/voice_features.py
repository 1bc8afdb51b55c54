"""Compact features of speech for ``adaptation``: what the encoder's rows say about a mouth, 25 times a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Final
from zipfile import BadZipFile

import numpy as np

from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.speech.encoder import ENCODER_RATE
from lipsync.speech.motion import NETWORK_RATE
from lipsync.types import Float32

COMPONENTS: Final = 48
WHITENED: Final = 192  # principal components of the rows from which they are found
IMPORTANCE: Final = 0.25  # power of their relation to motion that is their deviation
EVERY: Final = ENCODER_RATE // NETWORK_RATE  # rows of the encoder per row of features


@dataclass(frozen=True, slots=True)
class Projection:
    """``mean`` (D,) of the encoder's rows, and ``matrix`` (D, COMPONENTS) to components with a mean variance of 1."""

    mean: Float32
    matrix: Float32

    def features(self, pieces: Iterable[Float32]) -> Iterator[Float32]:
        """Features (m, COMPONENTS) in pieces, from the encoder's rows in pieces (n, D)."""
        start = 0  # of the piece, among all rows
        for rows in pieces:
            chosen = rows[-start % EVERY :: EVERY]
            start += len(rows)
            if len(chosen):
                yield np.asarray((chosen - self.mean) @ self.matrix, np.float32)


def load_projection() -> Projection:
    """Load the bundled projection. Raises ModelMissing, ModelCorrupt."""
    try:
        with (
            resources.as_file(resources.files("lipsync.speech") / "data" / "projection.npz") as file,
            np.load(file) as stored,
        ):
            return Projection(stored["mean"].astype(np.float32), stored["matrix"].astype(np.float32))
    except FileNotFoundError as exc:
        raise ModelMissing("the speech projection (projection.npz) is missing. Reinstall the package") from exc
    except (KeyError, ValueError, OSError, BadZipFile) as exc:
        raise ModelCorrupt("the speech projection (projection.npz) is damaged. Reinstall the package") from exc


def fit_projection(rows: Float32, motion: Float32) -> Projection:
    """The directions of the encoder's rows (n, D) that tell most about ``motion`` (n, M) in eye distances.

    Reduced-rank regression (Izenman, Journal of Multivariate Analysis 5(2), 1975) on whitened principal components.
    What tells more gets a larger deviation, so that a ridge regression prefers it; the mean variance is 1.
    """
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    scaled = (rows - mean) / deviation
    values, axes = np.linalg.eigh((scaled.T @ scaled).astype(np.float64) / len(rows))
    whitening = (axes / np.sqrt(np.maximum(values, 1e-9)))[:, ::-1][:, :WHITENED]
    related = (scaled @ whitening.astype(np.float32)).T @ (motion - motion.mean(0))
    directions, strength, _ = np.linalg.svd(related.astype(np.float64), full_matrices=False)
    size = strength[:COMPONENTS] ** IMPORTANCE
    matrix = whitening @ (directions[:, :COMPONENTS] * size) / np.sqrt((size**2).mean())
    return Projection(mean, np.asarray(matrix / deviation[:, None], np.float32))
