"""Measure how surely people are distinguished, and recognised in other shots.

    python benchmarks/persons.py CLIPS...

CLIPS are clips or folders of clips; the clips in one folder show one person, other clips a person each. A person is
remembered from the first half of the frames. Printed are the ordered pairs of people of whom the second is taken for
the first, and the share of frames of the second half in which the person is known again: as they are, and in other
light, sharpness and colours, as after a cut to another camera.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.landmarker import Landmarker
from lipsync.faces.recogniser import Recogniser
from lipsync.faces.region import region_of
from lipsync.faces.selection import SAME_PERSON, Person
from lipsync.frames.rgb import warp_rgb
from lipsync.media.probe import probe_video
from lipsync.media.reader import read
from lipsync.models.session_cache import SessionCache
from lipsync.types import Colour, Face, Float32, Frame

SAMPLES: Final = 16  # frames of a person
SIDE: Final = 320  # pixels of the cropped faces
Rgb = NDArray[np.float32]
CAMERAS: Final[dict[str, Callable[[Rgb], Rgb]]] = {
    "as it is": lambda rgb: rgb,
    "black and white": lambda rgb: np.repeat(rgb.mean(2, keepdims=True), 3, 2),
    "dark": lambda rgb: rgb * np.float32(0.35),
    "blue": lambda rgb: rgb * np.array([0.45, 0.6, 1], np.float32),
    "warm": lambda rgb: rgb * np.array([1.25, 1, 0.6], np.float32) + np.float32(0.04),
    "contrast": lambda rgb: (rgb - np.float32(0.5)) * np.float32(1.7) + np.float32(0.5),
    "blurred": lambda rgb: np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.01 * SIDE), np.float32),
    "small": lambda rgb: _resized(_resized(rgb, SIDE // 4), SIDE),
    "mirrored": lambda rgb: rgb[:, ::-1],
}


Seen = list[tuple[Frame, Face]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    args = parser.parse_args()
    with Landmarker.open(SessionCache()) as landmarker, Recogniser.open(SessionCache()) as recogniser:
        views = {name: list(_views(clips, landmarker)) for name, clips in _people(args.clips)}
        later = {name: some[len(some) // 2 :] for name, some in views.items()}
        seen = {name: _faces(some, landmarker) for name, some in later.items()}
        remember = partial(_remembered, recogniser=recogniser)
        known = {name: _faces(some[: len(some) // 2], landmarker) for name, some in views.items()}
        pairs = list(itertools.permutations(views, 2))
        taken = {pair: _share(remember(known[pair[0]]), seen[pair[1]]) for pair in pairs}
        print(f"{np.count_nonzero(list(taken.values()))} of {len(pairs)} ordered pairs of {len(views)} people confused")
        for (one, other), share in taken.items():
            if share:
                print(f"    {other} is taken for {one} in {share:.0%} of the frames")
        for camera, change in CAMERAS.items():
            faces = {name: _faces([change(view) for view in some], landmarker) for name, some in later.items()}
            shares = [_share(remember(known[name]), faces[name]) for name in views]
            print(f"known again, {camera}: {np.mean(shares):.1%}, worst person {min(shares):.0%}", flush=True)


def _people(paths: list[Path]) -> Iterator[tuple[str, list[Path]]]:
    for path in paths:
        if path.is_dir():
            clips = sorted(path.glob("*.mp4"))
            yield path.name, clips[:: -(-len(clips) // SAMPLES)]
        else:
            yield path.stem, [path]


def _views(clips: list[Path], landmarker: Landmarker) -> Iterator[Rgb]:
    """Faces from all over the clips, with a border, in RGB (SIDE, SIDE, 3), 0..1."""
    for clip in clips:
        video = probe_video(clip)
        step = max(1, video.video.frame_count * len(clips) // SAMPLES)
        with closing(read(video, read_only=True)) as frames:
            for frame in itertools.islice(frames, step // 2, None, step):
                faces = landmarker.find(frame)
                if faces:
                    region = region_of(faces[0].landmarks)
                    yield warp_rgb(frame, region.matrix(SIDE), (SIDE, SIDE), fine=True)


def _remembered(seen: Seen, recogniser: Recogniser) -> Person:
    person = Person("largest", recogniser)
    person.match([seen[0][1]], seen[0][0])
    for frame, face in seen:
        person.learn(frame, face)
    return person


def _share(person: Person, seen: Seen) -> float:
    """The share of faces that are taken for the person."""
    return float(np.mean([person.distance(frame, face) < SAME_PERSON for frame, face in seen])) if seen else 0.0


def _faces(views: list[Rgb], landmarker: Landmarker) -> Seen:
    frames = [_frame(view) for view in views]
    found = [(frame, landmarker.find(frame, thorough=False)) for frame in frames]
    return [(frame, faces[0]) for frame, faces in found if faces]


def _frame(rgb: Float32) -> Frame:
    planes = cv2.cvtColor(np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8), cv2.COLOR_RGB2YUV_I420)
    u, v = planes[SIDE:].reshape(2, SIDE // 2, SIDE // 2)
    return Frame(0, planes[:SIDE].copy(), u.copy(), v.copy(), 8, Colour(6, 6, 6, False))


def _resized(rgb: Rgb, side: int) -> Rgb:
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA), np.float32)


if __name__ == "__main__":
    main()
