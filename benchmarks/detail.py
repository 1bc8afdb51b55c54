"""Measure detail transfer on mouths as soft as those of a 96-pixel generator, on real footage and without weights.

python benchmarks/detail.py CLIP... [--frames 150] [--lag 0] [--blur 0] [--strength 1] [--keep FOLDER]
    [--score SCORE.py] [--score-python PYTHON]

The generator is simulated: the face of the frame ``lag`` frames earlier is resampled to 96 pixels, blurred with a
sigma of ``blur`` pixels, and composed into the frame as by the engine. With a lag the mouth has another shape than in
the source frame, which would reveal ghosting.

Prints values without and with the transfer, relative to the source: ``sharpness``, the variance of the Laplacian in the
mouth; ``detail``, the energy of fine structure; ``flicker``, the energy of its second difference over time; ``flicker
error``, the same of the difference between result and source (the source is the truth with lag 0 only); ``unrest``, the
second difference of structure coarser than a generator pixel; and the frame rate of the transfer alone. SCORE.py adds
its own figures (see ``quality.py``); --keep writes the videos to a folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lipsync.engines.wav2lip.compose import compose, placement_on_face
from lipsync.engines.wav2lip.crop import SIDE, UNDER_CHIN, Crop, Crops, SmoothedCrops, aligned_crop, face_view
from lipsync.enhancers.base import EditedFrame
from lipsync.enhancers.detail.enhancer import DetailTransfer
from lipsync.faces.geometry import LIPS, MESH
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.recogniser import Recogniser
from lipsync.faces.selection import Person
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import Track, TrackBuilder
from lipsync.faces.tracker import follow
from lipsync.frames.planes import writable_copy
from lipsync.media.encoding import Encoding
from lipsync.media.probe import probe_video
from lipsync.media.reader import read
from lipsync.media.writer import write
from lipsync.models.session_cache import SessionCache
from lipsync.types import Float32, Frame, VideoClip

STABLE_SIDE = 384  # pixels of the stabilized mouth


@dataclass(frozen=True, slots=True)
class Footage:
    """The frames of a clip, the track of the face, and the engine's crops."""

    clip: VideoClip
    frames: list[Frame]
    track: Track
    crops: SmoothedCrops
    points: Float32


def footage_of(path: Path, frames: int, landmarker: Landmarker) -> Footage:
    clip = probe_video(path)
    builder, crops = TrackBuilder(), Crops()
    kept: list[Frame] = []
    with Recogniser.open(SessionCache()) as recogniser, closing(read(clip, stop=frames)) as source:
        for sighting in follow(source, landmarker, Person("largest", recogniser)):
            crop = None if sighting.face is None else aligned_crop(sighting.face.landmarks)
            crops.add(None if crop is None else crop.padded((0, UNDER_CHIN * crop.height, 0, 0)))
            builder.add(sighting.face, sighting.cut)
            kept.append(sighting.frame)
    rate = clip.video.rate
    track = builder.finish(rate)
    points = track.landmarks(0, len(track))[:, :MESH, :2]
    return Footage(clip, kept, track, crops.smoothed(track.present, track.shots, rate), points)


def generated(footage: Footage, lag: int, blur: float) -> Iterator[EditedFrame]:
    """Yield the frames with the softened face of ``lag`` frames earlier."""
    for index, before in enumerate(footage.frames):
        other = max(index - lag, 0)
        crop, from_crop = footage.crops[index], footage.crops[other]
        frame = writable_copy(before)
        if crop is None or from_crop is None:
            yield EditedFrame(frame, before, False)
            continue
        face = face_view(footage.frames[other], from_crop)
        if blur:
            face = np.stack([cv2.GaussianBlur(plane, (0, 0), blur) for plane in face])
        edited = compose(frame, face, placement_on_face(crop, footage.points[index], 1.0))
        yield EditedFrame(frame, before, edited)


def mouth_of(frame: Frame, points: Float32) -> Float32:
    """Return the luma of the lips with a margin, in 8-bit code values."""
    low, high = np.maximum(points[list(LIPS)].min(0) - 4, 0).astype(int), (points[list(LIPS)].max(0) + 4).astype(int)
    return np.asarray(frame.y[low[1] : high[1], low[0] : high[0]], np.float32) / np.float32(1 << (frame.depth - 8))


def sharpness(frames: list[Frame], footage: Footage) -> float:
    return float(
        np.mean(
            [
                cv2.Laplacian(mouth_of(frame, points), cv2.CV_32F).var()
                for frame, points in zip(frames, footage.points, strict=True)
            ]
        )
    )


@dataclass(frozen=True, slots=True)
class Stability:
    """Mean squares of a stabilized mouth: its detail, and the second differences of fine and coarse structure."""

    detail: float
    flicker: float
    unrest: float


def stability_of(mouths: Float32) -> Stability:
    """``mouths``: (frames, h, w) of ``stabilized``, or the difference of two."""
    coarse = np.stack([cv2.GaussianBlur(mouth, (0, 0), STABLE_SIDE / SIDE) for mouth in mouths])
    flicker, unrest = (float((np.diff(band, 2, axis=0) ** 2).mean()) for band in (mouths - coarse, coarse))
    return Stability(float(((mouths - coarse) ** 2).mean()), flicker, unrest)


def stabilized(frames: list[Frame], footage: Footage) -> Float32:
    smoothed = [(frame, footage.crops[k]) for k, frame in enumerate(frames)]
    return np.stack([stable_mouth(frame, crop) for frame, crop in smoothed if crop is not None])


def stable_mouth(frame: Frame, crop: Crop) -> Float32:
    """Return the lower half of the generator's crop at a fixed size, in 8-bit code values."""
    matrix = crop.matrix() * np.array([SIDE / STABLE_SIDE, SIDE / STABLE_SIDE, 1], np.float32)
    luma, flags = np.asarray(frame.y, np.float32), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(luma, matrix, (STABLE_SIDE, STABLE_SIDE), flags=flags)
    lower = square[STABLE_SIDE // 2 :, STABLE_SIDE // 5 : -STABLE_SIDE // 5]
    return np.asarray(lower, np.float32) / np.float32(1 << (frame.depth - 8))


def timed(
    edits: list[EditedFrame], landmarker: Landmarker, footage: Footage, strength: float
) -> tuple[list[Frame], float]:
    start = time.monotonic()
    frames = [edit.after for edit in DetailTransfer(landmarker, strength).enhance(edits, SmoothedFaces(footage.track))]
    return frames, len(frames) / (time.monotonic() - start)


def score(options: argparse.Namespace, result: Path, clip: Path) -> dict[str, Any]:
    arguments = ["pair", str(result), "--truth", str(clip), "--source", str(clip)]
    command = [options.score_python, str(options.score), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:  # its tracker does not find small faces
        return {}
    row = json.loads(done.stdout[done.stdout.index("{") :])
    return {key: row[key] for key in ("sharpness", "jitter", "lmd", "outside_psnr")}


def write_video(frames: list[Frame], path: Path, footage: Footage) -> Path:
    write(
        ([frame] for frame in frames),
        [path],
        video=footage.clip,
        audio=footage.clip,
        frame_count=len(frames),
        encoding=Encoding(),
    )
    return path


def compare(clip: Path, folder: Path, landmarker: Landmarker, options: argparse.Namespace) -> None:
    footage = footage_of(clip, options.frames, landmarker)
    edits = list(generated(footage, options.lag, options.blur))
    without = [writable_copy(edit.after) for edit in edits]
    done, speed = timed(edits, landmarker, footage, options.strength)
    own, own_mouths = sharpness(footage.frames, footage), stabilized(footage.frames, footage)
    own_stability = stability_of(own_mouths)
    for name, frames in (("without", without), ("with", done)):
        mouths = stabilized(frames, footage)
        result, error = stability_of(mouths), stability_of(mouths - own_mouths)
        row: dict[str, Any] = {
            "sharpness": sharpness(frames, footage) / own,
            "detail": result.detail / own_stability.detail,
            "flicker": result.flicker / own_stability.flicker,
            "flicker error": error.flicker / own_stability.flicker,
            "unrest": result.unrest / own_stability.unrest,
        }
        if name == "with":
            row["frames/s"] = speed
        if options.keep or options.score:
            path = write_video(frames, folder / f"{clip.stem}-{options.lag}-{options.blur}-{name}.mp4", footage)
            row |= {} if options.score is None else {f"score {k}": v for k, v in score(options, path, clip).items()}
        print(clip.stem, name, {key: round(value, 3) for key, value in row.items()}, flush=True)
    footage.track.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--lag", type=int, default=0)
    parser.add_argument("--blur", type=float, default=0.0)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--score", type=Path)
    parser.add_argument("--score-python", default=sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Landmarker.open(SessionCache()) as landmarker:
        for clip in options.clips:
            compare(clip, options.keep or Path(folder), landmarker, options)


if __name__ == "__main__":
    main()
