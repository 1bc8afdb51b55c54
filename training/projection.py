"""Fit the projection of the speech encoder's rows that ``lipsync.speech.adaptation`` uses.

    python training/projection.py PREPARED_DIR... --out src/lipsync/speech/data/projection.npz

Uses the sound of up to --clips clips of each folder that are not held out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from prepare import held_out

from lipsync.models.session_cache import SessionCache
from lipsync.speech.encoder import open_encoder
from lipsync.speech.voice_features import EVERY, fit_projection


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path, nargs="+", help="folders that prepare.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--clips", type=int, default=150, help="clips of each folder (default: 150)")
    args = parser.parse_args()
    encoder, rows = open_encoder(SessionCache()), []
    for folder in args.prepared:
        paths = [path for path in sorted(folder.glob("*.npz")) if not held_out(path.stem)]
        for path in paths[:: max(1, len(paths) // args.clips)][: args.clips]:
            with np.load(path) as stored:
                rows += [piece[::EVERY] for piece in encoder.rows([stored["audio"]])]
    projection = fit_projection(np.concatenate(rows))
    np.savez_compressed(args.out, mean=projection.mean, matrix=projection.matrix.astype(np.float16))
    return 0


if __name__ == "__main__":
    sys.exit(main())
