"""Compact features of speech for ``adaptation``: principal components of the encoder's rows, 25 a second."""

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
EVERY: Final = ENCODER_RATE // NETWORK_RATE  # rows of the encoder per row of features


@dataclass(frozen=True, slots=True)
class Projection:
    """``mean`` (D,) of the encoder's rows, and ``matrix`` (D, COMPONENTS) to components with a deviation of 1."""

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


def fit_projection(rows: Float32) -> Projection:
    """The projection of the encoder's rows (n, D): principal components of its columns, each on its own scale.

    Pearson, "On lines and planes of closest fit to systems of points in space", Philosophical Magazine 2(11), 1901.
    """
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    scaled = ((rows - mean) / deviation).astype(np.float64)
    axes = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1][:, :COMPONENTS]
    matrix = axes / deviation[:, None]
    return Projection(mean, np.asarray(matrix / ((rows - mean) @ matrix).std(0), np.float32))
