"""How smooth is the line between closed lips, and how sharp is the inside of the open mouth?

    python benchmarks/seam.py FACE... [--audio AUDIO] [--score SCORE.py] [--score-python PYTHON] [--voices COUNT]
        [--keep FOLDER [--reuse]] [--option=...]

FACE is a video, a photo, or a folder of them, driven by AUDIO or by sentences of ``sentences.py`` (the first two
voices). The result and the source are tracked, by SCORE.py if it is given.

``seam``: the luma between the lips, from corner to corner, sampled every pixel on five lines up to 0.015 eye distances
above and below the middle of the inner lips. A frame's roughness is the mean |second difference| of the roughest line;
the figure is its 95th percentile over the frames whose lips touch, over the source's. They touch if the opening is at
most 5 % of its range (5th to 95th percentile) above the lower end. Stitches of teeth and dark pixels raise it.

A source that never closes has no such seam. Its reference is then the 95th percentile of the same figure on
lines through the middle of both lips, times SEAM_TO_LIPS, the median ratio of closed seams to lips in real clips.

``inside``: the variance of the Laplacian of the luma within the inner lips, mean over frames that are open by more
than 0.06 eye distances, over the source's. A source that never opens is compared by its lips in the same way, with
INSIDE_TO_LIPS. An asterisk marks both substitutes.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from measure import lipsync
from mouths import MouthTrack, add_results, add_scorer, faces_in, frames_of, track_mouth
from numpy.typing import NDArray
from sentences import write_sentences

from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, eye_distance
from lipsync.types import Float32

UPPER_INNER, LOWER_INNER = LIPS_INNER[:11], (LIPS_INNER[0], *LIPS_INNER[:9:-1])
UPPER_OUTER, LOWER_OUTER = LIPS_OUTER[:11], (LIPS_OUTER[0], *LIPS_OUTER[:9:-1])
BAND = np.linspace(-0.015, 0.015, 5)  # eye distances above and below the seam
ENDS = 0.04  # of the seam's length left out at each corner
CLOSES = 0.05  # eye distances: a source whose 5th percentile is higher never closes
OPEN = 0.06  # eye distances
MIN_FRAMES = 3
SEAM_TO_LIPS, INSIDE_TO_LIPS = 0.8, 2.9  # medians over real talking clips
MAX_SEAM, INSIDE_RANGE = 1.2, (0.8, 1.2)


@dataclass(frozen=True, slots=True)
class MouthTexture:
    """Per frame, in 8-bit code values: ``seam`` and ``lips`` roughness, ``inside`` and ``skin`` Laplacian variance.

    ``seam`` and ``lips`` (n,); ``inside``: within the inner lips; ``skin``: of the lips themselves.
    """

    seam: Float32
    lips: Float32
    inside: Float32
    skin: Float32


def texture_of(video: Path, track: MouthTrack) -> MouthTexture:
    rows = []
    for frame, points in zip(frames_of(video), track.points, strict=True):
        luma = np.asarray(frame.y, np.float32) / np.float32(1 << (frame.depth - 8))
        rows.append(_frame_texture(luma, points[:, :2]))
    seam, lips, inside, skin = np.array(rows, np.float32).T
    return MouthTexture(seam, lips, inside, skin)


def _frame_texture(luma: Float32, points: Float32) -> tuple[float, float, float, float]:
    upper, lower = points[list(UPPER_INNER)], points[list(LOWER_INNER)]
    unit = eye_distance(points)
    seam = roughness(luma, (upper + lower) / 2, unit)
    flesh = [roughness(luma, (points[list(o)] + i) / 2, unit) for o, i in ((UPPER_OUTER, upper), (LOWER_OUTER, lower))]
    inner = points[list(LIPS_INNER)]
    outer = points[list(LIPS_OUTER)]
    return seam, max(flesh), detail(luma, [inner]), detail(luma, [outer, inner])


def roughness(luma: Float32, line: NDArray[np.floating], unit: float) -> float:
    """The mean |second difference| of the luma along the roughest of the lines within BAND of ``line`` (k, 2)."""
    along = line[-1] - line[0]
    down = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-6)
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    count = max(round(steps[-1] * (1 - 2 * ENDS)), 5)
    at = np.linspace(ENDS, 1 - ENDS, count) * steps[-1]
    path = np.stack([np.interp(at, steps, line[:, 0]), np.interp(at, steps, line[:, 1])], -1)
    lines = (path[None] + (BAND * unit)[:, None, None] * down).astype(np.float32)
    values = cv2.remap(luma, lines[..., 0], lines[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(np.diff(values, 2, axis=1)).mean(1).max())


def detail(luma: Float32, outlines: list[Float32]) -> float:
    """The variance of the Laplacian within the first outline and outside the others."""
    low = np.maximum(outlines[0].min(0).astype(int) - 3, 0)
    high = outlines[0].max(0).astype(int) + 4
    part = luma[low[1] : high[1], low[0] : high[0]]
    if min(part.shape) < 3:
        return 0.0
    mask = np.zeros(part.shape, np.uint8)
    for value, outline in zip((1, 0), outlines, strict=False):
        cv2.fillPoly(mask, [np.rint((outline - low) * 16).astype(np.int32)], value, cv2.LINE_8, 4)
    inside = cv2.Laplacian(part, cv2.CV_32F)[mask > 0]
    return float(inside.var()) if len(inside) else 0.0


def seam_reference(track: MouthTrack, texture: MouthTexture) -> tuple[float, bool]:
    """The roughness to compare with, and whether it is a substitute."""
    if np.percentile(track.opening[track.found], 5) <= CLOSES:
        return float(np.percentile(texture.seam[track.touching], 95)), False
    return SEAM_TO_LIPS * float(np.percentile(texture.lips[track.found], 95)), True


def inside_reference(track: MouthTrack, texture: MouthTexture) -> tuple[float, bool]:
    opened = track.found & (track.opening > OPEN)
    if opened.sum() >= MIN_FRAMES or (len(opened) == opened.sum() == 1):
        return float(texture.inside[opened].mean()), False
    return INSIDE_TO_LIPS * float(texture.skin[track.found].mean()), True


def compare(face: Path, result: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Print and return the ratios of the result to the source: seam and inside."""
    own, real = track_mouth(result, options), track_mouth(face, options)
    made, source = texture_of(result, own), texture_of(face, real)
    seam = float(np.percentile(made.seam[own.touching], 95))
    reference, seam_star = seam_reference(real, source)
    opened = own.found & (own.opening > OPEN)
    inside = float(made.inside[opened].mean()) if opened.any() else float("nan")
    sharp, inside_star = inside_reference(real, source)
    ratios = seam / max(reference, 1e-3), inside / max(sharp, 1e-3)
    if not seam_star:
        own_lips = float(np.percentile(source.lips[real.found], 95))
        note = f"source: seam to lips {reference / own_lips:.2f}"
    else:
        note = ""
    if not inside_star:
        note += f" inside to lips {sharp / float(source.skin[real.found].mean()):.2f}"
    print(
        f"{face.stem:32} seam {seam:5.1f} / {reference:5.1f}{'*' if seam_star else ' '} = {ratios[0]:5.2f}   "
        f"inside {inside:7.1f} / {sharp:7.1f}{'*' if inside_star else ' '} = {ratios[1]:5.2f}   {note}",
        flush=True,
    )
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("faces", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path)
    add_scorer(parser)
    parser.add_argument("--voices", type=int, default=2)
    add_results(parser)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        audio = options.audio or Path(folder, "sentences.wav")
        if options.audio is None:
            write_sentences(audio, voices=options.voices)
        for face in faces_in(options.faces):
            result = (options.keep or Path(folder)) / f"{face.stem}-seam.mp4"
            if not (options.reuse and result.exists()):
                subprocess.run(lipsync(face, audio, result, *options.option), check=True)
            rows.append(compare(face, result, options))
    ratios = np.array(rows)
    low, high = INSIDE_RANGE
    rough, soft = int((ratios[:, 0] > MAX_SEAM).sum()), int(((ratios[:, 1] < low) | (ratios[:, 1] > high)).sum())
    print(f"seam: {rough} of {len(rows)} above {MAX_SEAM}, largest {ratios[:, 0].max():.2f} (at most {MAX_SEAM} each)")
    print(f"inside: {soft} of {len(rows)} outside {low} to {high}, median {np.nanmedian(ratios[:, 1]):.2f}")


if __name__ == "__main__":
    main()
