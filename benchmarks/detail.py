"""What detail transfer does to a mouth as soft as a 96-pixel generator's, on real footage and without any weights.

python benchmarks/detail.py CLIP... [--frames 150] [--lag 0] [--blur 0] [--strength 1] [--keep FOLDER]
    [--score SCORE.py] [--score-python PYTHON]

The generator is played by the footage itself: the face of the frame that is ``lag`` frames earlier, made 96 pixels
large, blurred there by a Gaussian of ``blur`` pixels, and put into the frame as the engine does. Lag 0 is the softest
honest case; with a lag the mouth has another shape than the footage's, which is where ghosts would show.

Prints, without and with the transfer, each against the footage's own: ``sharpness``, the Laplacian's variance in the
mouth; ``detail``, the energy of fine structure; ``flicker``, the energy of its change from frame to frame beyond what a
straight motion explains; ``flicker amiss``, the same of what the result and the footage differ by, which is what
flickers although the footage does not, or does not although it does (with lag 0 alone is the footage the truth);
``unrest``, the change of what is coarser than a generator's pixel; and frames a second of the transfer alone.
SCORE.py adds its own figures, see ``quality.py``; --keep writes the videos there.
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

STILL_SIDE = 384  # pixels of the mouth that is held still


@dataclass(frozen=True, slots=True)
class Footage:
    """The frames of a clip, where the face is in them, and its crops as the engine makes them."""

    clip: VideoClip
    pictures: list[Frame]
    track: Track
    crops: SmoothedCrops
    points: Float32


def footage_of(path: Path, frames: int, landmarker: Landmarker) -> Footage:
    clip = probe_video(path)
    builder, crops, pictures = TrackBuilder(), Crops(), []
    with closing(read(clip, stop=frames)) as source:
        for sighting in follow(source, landmarker, "largest"):
            crop = None if sighting.face is None else aligned_crop(sighting.face.landmarks)
            crops.add(None if crop is None else crop.padded((0, UNDER_CHIN * crop.height, 0, 0)))
            builder.add(sighting.face, sighting.cut)
            pictures.append(sighting.frame)
    rate = clip.video.rate
    track = builder.finish(rate)
    points = track.landmarks(0, len(track))[:, :MESH, :2]
    return Footage(clip, pictures, track, crops.smoothed(track.present, track.shots, rate), points)


def generated(footage: Footage, lag: int, blur: float) -> Iterator[EditedFrame]:
    """The frames with the face of ``lag`` frames before, as soft as a generator's."""
    for index, before in enumerate(footage.pictures):
        other = max(index - lag, 0)
        crop, from_crop = footage.crops[index], footage.crops[other]
        picture = writable_copy(before)
        if crop is None or from_crop is None:
            yield EditedFrame(picture, before, False)
            continue
        face = face_view(footage.pictures[other], from_crop)
        if blur:
            face = np.stack([cv2.GaussianBlur(plane, (0, 0), blur) for plane in face])
        edited = compose(picture, face, placement_on_face(crop, footage.points[index], 1.0))
        yield EditedFrame(picture, before, edited)


def mouth_of(picture: Frame, points: Float32) -> Float32:
    """The luma of the lips and a little around them, in 8-bit code values."""
    low, high = np.maximum(points[list(LIPS)].min(0) - 4, 0).astype(int), (points[list(LIPS)].max(0) + 4).astype(int)
    return np.asarray(picture.y[low[1] : high[1], low[0] : high[0]], np.float32) / np.float32(1 << (picture.depth - 8))


def sharpness(pictures: list[Frame], footage: Footage) -> float:
    return float(
        np.mean(
            [
                cv2.Laplacian(mouth_of(picture, points), cv2.CV_32F).var()
                for picture, points in zip(pictures, footage.points, strict=True)
            ]
        )
    )


@dataclass(frozen=True, slots=True)
class Rest:
    """Of a mouth held still by its landmarks: the mean square of its fine structure, of that one's second difference
    over time, and of that of what is coarser."""

    detail: float
    flicker: float
    unrest: float


def restlessness(mouths: Float32) -> Rest:
    """``mouths``: (frames, h, w) as ``held_still`` gives them, or what two of them differ by."""
    coarse = np.stack([cv2.GaussianBlur(mouth, (0, 0), STILL_SIDE / SIDE) for mouth in mouths])
    flicker, unrest = (float((np.diff(part, 2, axis=0) ** 2).mean()) for part in (mouths - coarse, coarse))
    return Rest(float(((mouths - coarse) ** 2).mean()), flicker, unrest)


def held_still(pictures: list[Frame], footage: Footage) -> Float32:
    smoothed = [(picture, footage.crops[k]) for k, picture in enumerate(pictures)]
    return np.stack([still_mouth(picture, crop) for picture, crop in smoothed if crop is not None])


def still_mouth(picture: Frame, crop: Crop) -> Float32:
    """The lower half of the generator's crop, always of one size, in 8-bit code values."""
    matrix = crop.matrix() * np.array([SIDE / STILL_SIDE, SIDE / STILL_SIDE, 1], np.float32)
    luma, flags = np.asarray(picture.y, np.float32), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(luma, matrix, (STILL_SIDE, STILL_SIDE), flags=flags)
    lower = whole[STILL_SIDE // 2 :, STILL_SIDE // 5 : -STILL_SIDE // 5]
    return np.asarray(lower, np.float32) / np.float32(1 << (picture.depth - 8))


def timed(
    edits: list[EditedFrame], landmarker: Landmarker, footage: Footage, strength: float
) -> tuple[list[Frame], float]:
    began = time.monotonic()
    done = [edit.after for edit in DetailTransfer(landmarker, strength).enhance(edits, SmoothedFaces(footage.track))]
    return done, len(done) / (time.monotonic() - began)


def scored(options: argparse.Namespace, made: Path, clip: Path) -> dict[str, Any]:
    arguments = ["pair", str(made), "--truth", str(clip), "--source", str(clip)]
    command = [options.score_python, str(options.score), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:  # its tracker finds no small faces
        return {}
    row = json.loads(done.stdout[done.stdout.index("{") :])
    return {key: row[key] for key in ("sharpness", "jitter", "lmd", "outside_psnr")}


def write_video(pictures: list[Frame], path: Path, footage: Footage) -> Path:
    write(
        ([picture] for picture in pictures),
        [path],
        video=footage.clip,
        audio=footage.clip,
        frame_count=len(pictures),
        encoding=Encoding(),
    )
    return path


def compared(clip: Path, folder: Path, landmarker: Landmarker, options: argparse.Namespace) -> None:
    footage = footage_of(clip, options.frames, landmarker)
    edits = list(generated(footage, options.lag, options.blur))
    without = [writable_copy(edit.after) for edit in edits]
    done, speed = timed(edits, landmarker, footage, options.strength)
    own, own_mouths = sharpness(footage.pictures, footage), held_still(footage.pictures, footage)
    own_rest = restlessness(own_mouths)
    for name, pictures in (("without", without), ("with", done)):
        mouths = held_still(pictures, footage)
        rest, amiss = restlessness(mouths), restlessness(mouths - own_mouths)
        row: dict[str, Any] = {
            "sharpness": sharpness(pictures, footage) / own,
            "detail": rest.detail / own_rest.detail,
            "flicker": rest.flicker / own_rest.flicker,
            "flicker amiss": amiss.flicker / own_rest.flicker,
            "unrest": rest.unrest / own_rest.unrest,
        }
        if name == "with":
            row["frames/s"] = speed
        if options.keep or options.score:
            made = write_video(pictures, folder / f"{clip.stem}-{options.lag}-{options.blur}-{name}.mp4", footage)
            row |= {} if options.score is None else {f"score {k}": v for k, v in scored(options, made, clip).items()}
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
            compared(clip, options.keep or Path(folder), landmarker, options)


if __name__ == "__main__":
    main()
