"""A first run of a converted network: what cannot be seen in the weights shows in a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lipsync.engines.wav2lip.architecture import MEL_BANDS, MEL_COLUMNS, SIDE
from lipsync.errors import CheckpointInvalid
from lipsync.models.devices import open_session
from lipsync.types import Float32

BATCH = 2
FLAT = 1e-3  # of 0..1: a picture that differs by less everywhere is one colour
FARTHEST = 0.5 / 255  # between the two precisions, on average


def smoke_test(encoder: Path, decoder: Path, encoder_half: Path, decoder_half: Path) -> None:
    """Run the graphs on noise. Raises CheckpointInvalid if no picture comes out, or another in half precision."""
    out = _run(encoder, decoder)
    if out.shape != (BATCH, 3, SIDE, SIDE) or not np.isfinite(out).all():
        raise CheckpointInvalid("these weights give no picture, but values that are no numbers")
    if out.min() < 0 or out.max() > 1 or np.ptp(out, axis=(2, 3)).max() < FLAT:
        raise CheckpointInvalid("these weights give no picture, but one colour")
    half = _run(encoder_half, decoder_half)
    if not np.isfinite(half).all() or np.abs(half - out).mean() > FARTHEST:
        raise CheckpointInvalid("these weights give another picture in half precision")


def _run(encoder: Path, decoder: Path) -> Float32:
    """(2, 3, 96, 96) from both graphs, one in memory at a time."""
    dice = np.random.default_rng(0)
    face = dice.random((BATCH, 6, SIDE, SIDE), np.float32)
    mel = dice.uniform(-4, 4, (BATCH, 1, MEL_BANDS, MEL_COLUMNS)).astype(np.float32)
    skips = open_session(encoder, shapes={"face": face.shape}).run([face])
    shapes = {f"skip{k}": skip.shape for k, skip in enumerate(skips)}
    (out,) = open_session(decoder, shapes={"mel": mel.shape, **shapes}).run([mel, *skips])
    return np.asarray(out, np.float32)
