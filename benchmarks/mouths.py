"""Shared by the benchmarks: tracked mouths of videos and photos, with figures of the gap between the lips.

Faces are located by this project's tracker. The landmarks come from the ``track`` function of an independent scorer if
one is given: it sees a steady square around the face, so that small faces and a second person do not disturb it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import LEFT_CORNER, MESH, RIGHT_CORNER, canonical_face, eye_distance, fit_pose, opening
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.recogniser import Recogniser
from lipsync.faces.selection import Person
from lipsync.faces.tracker import follow
from lipsync.frames.rgb import warp_rgb
from lipsync.media.probe import probe_video
from lipsync.media.reader import read
from lipsync.models.session_cache import SessionCache
from lipsync.types import Float32, Frame

VIEW_SIDE = 400  # pixels of the square that the independent scorer sees
VIEW_EXTENT = 5.0  # its side in eye distances
VIEW_DRIFT = 0.12  # change of place or size, in sides, at which the square follows the face
CLOSED_SHARE, TIGHT_SHARE = 0.12, 0.05  # of the range of openings, up to which lips count as closed, as touching
IN_SCORER = """
import importlib.util, sys, numpy
spec = importlib.util.spec_from_file_location("scorer", sys.argv[1])
scorer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scorer)
points, found, _ = scorer.track(sys.argv[2])
numpy.savez(sys.argv[3], points=points, found=found)
"""


@dataclass(frozen=True)
class MouthTrack:
    """The tracked face of a video: ``points`` (n, 478, 3) in pixels, ``found`` (n,), and frames per second."""

    points: Float32
    found: NDArray[np.bool_]
    rate: float

    @cached_property
    def meshes(self) -> Float32:
        """The points in the face frame, (n, 468, 3) in eye distances: the head's pose is taken out."""
        points = self.points[:, :MESH]
        return fit_pose(points, canonical_face()).to_face(points)

    @cached_property
    def opening(self) -> Float32:
        """The distance between the lips, (n,) in eye distances."""
        return opening(self.meshes)

    @cached_property
    def width(self) -> Float32:
        """The distance between the corners of the mouth, (n,) in eye distances."""
        return np.asarray(np.linalg.norm(self.meshes[:, RIGHT_CORNER] - self.meshes[:, LEFT_CORNER], axis=1))

    @property
    def closed_limit(self) -> float:
        """The opening up to which the lips count as closed: CLOSED_SHARE of the 5th to 95th percentile."""
        return self._limit(CLOSED_SHARE)

    @property
    def touching(self) -> NDArray[np.bool_]:
        """The frames (n,) whose lips touch: opening up to TIGHT_SHARE of the range, so that no teeth show."""
        return np.asarray((self.opening <= self._limit(TIGHT_SHARE)) & self.found)

    def _limit(self, share: float) -> float:
        low, high = np.percentile(self.opening[self.found], (5, 95))
        return float(low + share * (high - low))

    def resampled(self, values: Float32, rate: float, count: int) -> Float32:
        """``values`` (n,) of this track at ``rate`` frames per second, (count,)."""
        times = np.arange(count) / rate * self.rate
        return np.asarray(np.interp(times, np.arange(len(values)), values), np.float32)


def add_scorer(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument("--score", type=Path, required=required, help="SCORE.py, the independent scorer")
    parser.add_argument("--score-python", default=sys.executable, help="the Python that has its dependencies")


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--reuse", action="store_true", help="take results that are in the folder already")
    parser.add_argument("--option", action="append", default=[])


def track_mouth(video: Path, options: argparse.Namespace) -> MouthTrack:
    """Track the largest face of a video or photo. ``options``: see ``add_scorer``."""
    points, found, rate = own_track(video)
    if options.score is None:
        return MouthTrack(points, found, float(rate))
    with tempfile.TemporaryDirectory() as folder:
        view, result = Path(folder, "view.mkv"), Path(folder, "track.npz")
        squares = steady_squares(points)
        write_views(video, view, squares, rate)
        command = [options.score_python, "-c", IN_SCORER, str(options.score), str(view), str(result)]
        subprocess.run(command, check=True, capture_output=True)
        with np.load(result) as track:
            seen, seen_found = track["points"].astype(np.float32), track["found"] & found
    scale = squares[:, 2, None, None] / VIEW_SIDE
    seen = seen * scale
    seen[:, :, :2] += squares[:, None, :2]
    return MouthTrack(seen, seen_found, float(rate))


def own_track(video: Path) -> tuple[Float32, NDArray[np.bool_], Fraction]:
    """Points (n, 478, 3) of this project's tracker, whether each frame shows the face, and the rate."""
    clip = probe_video(video)
    points: list[Float32] = []
    found = []
    with (
        Landmarker.open(sessions := SessionCache()) as landmarker,
        Recogniser.open(sessions) as recogniser,
        closing(read(clip, read_only=True)) as frames,
    ):
        for tracked in follow(frames, landmarker, Person("largest", recogniser)):
            found.append(tracked.face is not None)
            last = points[-1] if points else np.zeros((MESH + 10, 3), np.float32)
            points.append(last if tracked.face is None else tracked.face.landmarks)
    first = found.index(True)
    points[:first] = [points[first]] * first
    return np.stack(points), np.array(found), clip.video.rate


def steady_squares(points: Float32) -> Float32:
    """Squares around the faces (n, 3): left, top, side in pixels. They move only where the face does."""
    squares: list[tuple[float, float, float]] = []
    for face in points:
        side = VIEW_EXTENT * eye_distance(face[:, :2])
        middle = (face[:MESH, :2].min(0) + face[:MESH, :2].max(0)) / 2
        if squares:
            left, top, old = squares[-1]
            drift = max(np.abs(middle - (left + old / 2, top + old / 2)).max() / old, abs(np.log(side / old)) / 2)
            if drift < VIEW_DRIFT:
                squares.append(squares[-1])
                continue
        squares.append((float(middle[0] - side / 2), float(middle[1] - side / 2), side))
    return np.array(squares, np.float32)


def write_views(video: Path, target: Path, squares: Float32, rate: Fraction) -> None:
    """Write the squares of a video's frames as a lossless video of VIEW_SIDE pixels."""
    with av.open(str(target), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width = stream.height = VIEW_SIDE
        stream.pix_fmt = "bgr0"
        for frame, (left, top, side) in zip(frames_of(video), squares, strict=True):
            matrix = np.array([[side / VIEW_SIDE, 0, left], [0, side / VIEW_SIDE, top]], np.float32)
            view = np.rint(np.clip(warp_rgb(frame, matrix, (VIEW_SIDE, VIEW_SIDE)), 0, 1) * 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())


def frames_of(video: Path) -> Iterator[Frame]:
    with closing(read(probe_video(video), read_only=True)) as frames:
        yield from frames


def is_photo(path: Path) -> bool:
    return probe_video(path).still


def faces_in(paths: list[Path]) -> list[Path]:
    """The given videos and photos, and those in the given folders."""
    suffixes = {".mp4", ".mov", ".mkv", ".webm", ".jpg", ".jpeg", ".png", ".webp"}
    found: list[Path] = []
    for path in paths:
        found += sorted(p for p in path.iterdir() if p.suffix in suffixes) if path.is_dir() else [path]
    return found
