"""Do photos close their lips on p, b and m, and what do they look like?

    python benchmarks/photos.py FOOTAGE [--sheet SHEET.webp] [--score SCORE.py] [--score-python PYTHON] [--keep FOLDER]
        [--still NAME...] [--option=...]

FOOTAGE holds the clips from which STILLS are cut: closed, parted, smiling and wide open mouths, turned and tiny faces.
Each still speaks a sentence of ``sentences.py``; see ``bilabials.py`` for what counts as closed. ``seam`` is the
opening at the closed phonemes' 80th percentile, in eye distances. The sheet has a row for each still: the photo, the
result at rest, at a p, a b and an m, and at vowels of a middle and a wide opening. Look at it: figures see no stitches.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from bilabials import TOLERANCE, closes, smallest_opening
from measure import lipsync
from mouths import MouthTrack, add_scorer, frames_of, track_mouth
from numpy.typing import NDArray
from sentences import Phoneme, write_sentences

from lipsync.faces.geometry import LIPS_OUTER, eye_distance
from lipsync.frames.rgb import warp_rgb
from lipsync.media.probe import probe_video
from lipsync.media.reader import read
from lipsync.types import Float32, Frame

TILE = 132  # pixels
EXTENT = 0.95  # eye distances shown by a tile
BELOW_LIPS = 0.04  # eye distances from the middle of the lips to that of the tile
QUALITY = 82
Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Still:
    """A frame of a clip. ``columns``: the part of its width that is kept, so that one face is in view."""

    name: str
    clip: str
    frame: int
    columns: tuple[float, float] = (0.0, 1.0)


STILLS = (
    Still("closed", "clips/closeup_512_30fps.mp4", 180),
    Still("clenched", "clips/closeup_512_30fps.mp4", 36),
    Still("lipstick", "clips/closed_mouth_720x974_30fps.mp4", 96),
    Still("parted", "clips/closed_mouth_720x974_30fps.mp4", 72),
    Still("smile", "clips/outdoor_720x1364_30fps.mp4", 60),
    Still("smile-turned", "clips/outdoor_720x1364_30fps.mp4", 24),
    Still("wide-open", "clips/portrait_1080x1920_hevc_25fps.mp4", 192),
    Still("three-quarter", "clips/portrait_1080x1920_hevc_25fps.mp4", 156),
    Still("tongue", "clips/interview_two_faces_720p.mp4", 156, (0.5, 1.0)),
    Still("tiny", "clips/full_body_tiny_face_720x1080.mp4", 60),
    Still("moustache", "corpus/grid_s30/s30_bwwy5n.mp4", 24),
    Still("mid-word", "corpus/grid_s4/swwc4a.mp4", 8),
)


def cut(still: Still, footage: Path, folder: Path) -> Path:
    """Write a still as PNG."""
    with closing(read(probe_video(footage / still.clip), read_only=True)) as frames:
        frame = next(islice(frames, still.frame, None))
    height, width = frame.y.shape
    first, last = (round(share * width) for share in still.columns)
    matrix = np.array([[1, 0, first], [0, 1, 0]], np.float32)
    path = folder / f"{still.name}.png"
    write_picture(path, to_bytes(warp_rgb(frame, matrix, (last - first, height))))
    return path


def write_picture(path: Path, rgb: Rgb) -> None:
    quality = [cv2.IMWRITE_WEBP_QUALITY, QUALITY] if path.suffix == ".webp" else []
    if not cv2.imwrite(str(path), rgb[..., ::-1], quality):
        raise SystemExit(f"cannot write {path}")


def to_bytes(rgb: Float32) -> Rgb:
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def telling_times(track: MouthTrack, phonemes: list[Phoneme]) -> list[float]:
    """When to look, in seconds: at rest, at the first p, b and m, and at vowels of a middle and the widest opening."""
    bilabials = [next(p for p in phonemes if p.name.startswith(name)) for name in "pbm"]
    steps = np.arange(-TOLERANCE, TOLERANCE, 0.01)
    closest = []
    for phoneme in bilabials:
        times = np.maximum((phoneme.start + phoneme.stop) / 2 + steps, 0)
        closest.append(float(times[np.argmin([opening_at(track, time) for time in times])]))
    vowels = [(p.start + p.stop) / 2 for p in phonemes if p.open_vowel]
    vowels.sort(key=lambda time: opening_at(track, time))
    return [(len(track.opening) - 1) / track.rate, *closest, vowels[len(vowels) // 2], vowels[-1]]


def opening_at(track: MouthTrack, time: float) -> float:
    return float(np.interp(time * track.rate, np.arange(len(track.opening)), track.opening))


def tile(frame: Frame, points: Float32) -> Rgb:
    """The mouth of one frame. ``points`` (478, 3) in pixels."""
    unit = eye_distance(points[:, :2])
    middle = points[list(LIPS_OUTER), :2].mean(0) + np.array([0, BELOW_LIPS * unit])
    step = EXTENT * unit / TILE
    left, top = middle - step * TILE / 2
    return to_bytes(warp_rgb(frame, np.array([[step, 0, left], [0, step, top]], np.float32), (TILE, TILE)))


def row(still: Path, result: Path, track: MouthTrack, times: Iterable[float], options: argparse.Namespace) -> Rgb:
    source = track_mouth(still, options)
    tiles = [tile(next(frames_of(still)), source.points[0])]
    wanted = [round(time * track.rate) for time in times]
    shown = {number: frame for number, frame in enumerate(frames_of(result)) if number in wanted}
    tiles += [tile(shown[number], source.points[0]) for number in wanted]
    return np.concatenate(tiles, axis=1)


def report(still: Still, track: MouthTrack, bilabials: list[Phoneme]) -> float:
    """Print and return the share of closed phonemes."""
    share = float(np.mean([closes(track, phoneme) for phoneme in bilabials]))
    smallest = [smallest_opening(track, p.start - TOLERANCE, p.stop + TOLERANCE) for p in bilabials]
    low, high = np.percentile(track.opening, (5, 95))
    print(
        f"{still.name:16} closed {share:4.0%}  seam {np.percentile(smallest, 80):.3f}  {low:.3f}..{high:.3f}",
        flush=True,
    )
    return share


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("footage", type=Path)
    parser.add_argument("--sheet", type=Path)
    add_scorer(parser)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--still", nargs="+")
    parser.add_argument("--option", action="append", default=[])
    options = parser.parse_args()
    rows, shares = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        phonemes = write_sentences(folder / "sentences.wav", voices=1)
        bilabials = [phoneme for phoneme in phonemes if phoneme.bilabial]
        for still in [s for s in STILLS if options.still is None or s.name in options.still]:
            photo, result = cut(still, options.footage, folder), folder / f"{still.name}.mp4"
            subprocess.run(lipsync(photo, folder / "sentences.wav", result, *options.option), check=True)
            track = track_mouth(result, options)
            shares.append(report(still, track, bilabials))
            if options.sheet is not None:
                rows.append(row(photo, result, track, telling_times(track, phonemes), options))
    print(f"mean of {len(shares)} photos: closed {np.mean(shares):.0%}, worst {min(shares):.0%}")
    if options.sheet is not None:
        write_picture(options.sheet, np.concatenate(rows))


if __name__ == "__main__":
    main()
