"""Fit the projection of the speech encoder's rows that ``lipsync.speech.adaptation`` uses.

    python training/projection.py EXAMPLES --out src/lipsync/speech/data/projection.npz

EXAMPLES is the folder of that name that ``train.py`` wrote.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from lipsync.speech.motion import load_basis
from lipsync.speech.voice_features import EVERY, fit_projection

REACH = 8  # rows of the encoder on each side at which the motion counts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("examples", type=Path, help="folder with speech0.npz")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    with np.load(args.examples / "speech0.npz") as stored:
        rows, motion = stored["rows"][::EVERY].astype(np.float32), stored["targets"] * load_basis().sd
    at = np.arange(0, len(motion), EVERY)
    near = [motion[np.clip(at + lag, 0, len(motion) - 1)] for lag in range(-REACH, REACH + 1, EVERY)]
    projection = fit_projection(rows, np.concatenate(near, 1))
    np.savez_compressed(args.out, mean=projection.mean, matrix=projection.matrix.astype(np.float16))
    return 0


if __name__ == "__main__":
    sys.exit(main())
