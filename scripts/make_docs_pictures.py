"""Make the pictures of the docs from the media of ``lipsync demo``.

    python scripts/make_docs_pictures.py

Needs nothing but the package.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

import lipsync
from lipsync.demo import demo_media
from lipsync.engines.rewrite import render
from lipsync.engines.rewrite.contact import Gap
from lipsync.engines.rewrite.inside import warp_inside
from lipsync.engines.rewrite.mouth import Mouth
from lipsync.engines.rewrite.mouth_layers import MouthLayers, MouthPlace
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, eye_distance
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.planes import writable_copy
from lipsync.liveliness.photo import Moment, lively_photo
from lipsync.liveliness.sway import EXCURSION
from lipsync.media.probe import probe
from lipsync.media.reader import read
from lipsync.models.session_cache import SessionCache
from lipsync.types import Float32, Frame, Landmarks

FOLDER = Path(__file__).parent.parent / "docs/explanation/pictures"
Image = NDArray[np.uint8]  # (height, width, 3) BGR
UPPER_LIP, LOWER_LIP = 13, 14  # inner edges, in the middle
SHOWN = range(10, 66, 7)  # frames
PANELS = ("frame", "its skin, moved", "upper lip", "lower lip", "inside", "result")
PANEL = (300, 220)  # pixels: width and height
PAPER = (225, 225, 225)  # BGR, behind the layers
GREY, BLUE, RED, GREEN = (120, 120, 120), (200, 120, 40), (60, 60, 200), (80, 200, 80)  # BGR


@dataclass(frozen=True, slots=True)
class Composition:
    """One call of ``compose_mouth`` and its result: ``skin`` and ``composed`` (h, w, 3), Y'CbCr of 8 bits."""

    skin: Float32
    composed: Float32
    place: MouthPlace
    layers: MouthLayers
    gap: Gap


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo_media() as media:
        result = Path(folder) / "result.mp4"
        with recorded_compositions() as compositions:
            lipsync.sync(media.clip, media.voice, result)
        before, after = images(media.clip), images(result)
        widest = max(range(len(compositions)), key=lambda k: compositions[k].place.lips.gap)
        save("layers.jpg", layers(before[widest], compositions[widest]))
        tracks = [landmarks_of(media.clip), landmarks_of(result)]
        save("lively-photo.jpg", lively(media.photo))
    save("tracking.jpg", tracking(before[38], tracks[0][38]))
    save("motion.png", motion(*([opening(points) for points in track] for track in tracks)))
    save("mouths.jpg", mouths(before, after, tracks[0]))


def lively(photo: Path) -> Image:
    """The head of a photo: at rest, with half-closed and closed eyes, and at both extremes of its motion."""
    (frame,) = frames(photo)
    with Landmarker.open(SessionCache()) as landmarker, TrackBuilder() as builder:
        face = landmarker.find(frame)[0]
        builder.add(face, False)
        with builder.finish(Fraction(25)) as track:
            prepared = lively_photo(frame, SmoothedFaces(track), Fraction(25), 1.0, 0)
    assert prepared is not None
    limits = np.array(EXCURSION, np.float32)
    unit, middle = eye_distance(face.landmarks), face.landmarks[168, :2]
    left, top = (int(middle[k] - share * unit) for k, share in ((0, 1.3), (1, 1.5)))
    tiles = []
    for closure, extreme in ((0, 0), (0.5, 0), (1, 0), (0, 1), (0, -1)):
        moved = writable_copy(frame)
        prepared.show(moved, Moment(closure, np.float32(extreme) * limits))
        tiles.append(bgr(moved)[top : top + int(3.4 * unit), left : left + int(2.6 * unit)])
    return np.hstack(tiles)


@contextmanager
def recorded_compositions() -> Iterator[list[Composition]]:
    """The compositions of all frames that are rendered meanwhile, in order."""
    compositions, compose = [], render.compose_mouth

    def record(
        skin: Float32, place: MouthPlace, layers: MouthLayers, own: Mouth | None, gap: Gap, depth: int
    ) -> Float32:
        composed = compose(skin, place, layers, own, gap, depth)
        compositions.append(Composition(skin.copy(), composed, place, layers, gap))
        return composed

    with patch.object(render, "compose_mouth", record):
        yield compositions


def layers(before: Image, frame: Composition) -> Image:
    """The mouth of a frame, the skin moved under it, each layer with its matte over grey, and all of them."""
    place, box = frame.place, frame.place.box
    hole = place.hole()
    lips, inside = frame.layers.lips[0].mouth, frame.layers.inside[0].mouth
    pixels, openness = warp_inside(inside, place.lips, hole, frame.gap.cavity, frame.layers.back)
    upper, lower, cavity = (np.zeros_like(frame.skin) for _ in range(3))
    mattes, mask = place.mattes(openness), place.mask()
    rows, _ = place.strip.within(box)
    top, bottom = place.lip_images(lips)
    upper[: rows.stop], lower[rows.start :] = top, bottom
    cavity[hole.within(box)] = pixels
    shares = np.zeros((3, *mask.shape), np.float32)  # of the upper lip, the lower lip and the inside
    shares[0, : rows.start], shares[1, rows.stop :] = 1, 1
    shares[:, rows] = mattes.upper, mattes.lower, mattes.inside
    panels = [before[box.top : box.bottom, box.left : box.right], from_ycbcr(frame.skin)]
    for image, share in zip((upper, lower, cavity), shares, strict=True):
        weight = (share * mask)[..., None]
        panels.append(np.uint8(weight * from_ycbcr(image) + (1 - weight) * np.float32(PAPER)))
    panels.append(from_ycbcr(frame.composed))
    return np.vstack([np.hstack([titled(panels[k], PANELS[k]) for k in row]) for row in ((0, 1, 5), (2, 3, 4))])


def titled(image: Image, title: str) -> Image:
    """The image enlarged to a panel with its title above."""
    panel = np.full((PANEL[1] + 24, PANEL[0], 3), 255, np.uint8)
    panel[24:, :-4] = cv2.resize(image, (PANEL[0] - 4, PANEL[1]), interpolation=cv2.INTER_CUBIC)
    cv2.putText(panel, title, (2, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return panel


def from_ycbcr(image: Float32) -> Image:
    """Video-range Y'CbCr code values (h, w, 3) as BGR."""
    planes = np.uint8(np.clip(image + 0.5, 0, 255))[..., [0, 2, 1]]  # OpenCV wants Cr before Cb, in full range
    full = (np.float32(planes) - (16, 128, 128)) * (255 / 219, 255 / 224, 255 / 224) + (0, 128, 128)
    return np.asarray(cv2.cvtColor(np.uint8(np.clip(full + 0.5, 0, 255)), cv2.COLOR_YCrCb2BGR), np.uint8)


def save(name: str, image: Image) -> None:
    setting = cv2.IMWRITE_PNG_COMPRESSION if name.endswith("png") else cv2.IMWRITE_JPEG_QUALITY
    cv2.imwrite(str(FOLDER / name), image, (setting, 9 if name.endswith("png") else 88))
    print(f"{name}: {(FOLDER / name).stat().st_size} bytes")


def frames(path: Path) -> list[Frame]:
    return list(read(probe(path)))


def images(path: Path) -> list[Image]:
    return [bgr(frame) for frame in frames(path)]


def bgr(frame: Frame) -> Image:
    planes = np.concatenate([plane.ravel() for plane in (frame.y, frame.u, frame.v)])
    height, width = frame.y.shape
    return np.asarray(cv2.cvtColor(planes.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420), np.uint8)


def landmarks_of(path: Path) -> list[Landmarks]:
    with Landmarker.open(SessionCache()) as landmarker:
        return [landmarker.find(frame)[0].landmarks for frame in frames(path)]


def opening(points: Landmarks) -> float:
    """Gap between the lips in eye distances."""
    return float(np.linalg.norm(points[LOWER_LIP, :2] - points[UPPER_LIP, :2])) / eye_distance(points)


def tracking(image: Image, points: Landmarks) -> Image:
    """The face with its 478 points; the lips' edges are connected."""
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for x, y, _ in points:
        cv2.circle(large, (round(2 * x), round(2 * y)), 1, GREEN, -1, cv2.LINE_AA)
    for outline in (LIPS_OUTER, LIPS_INNER):
        cv2.polylines(large, [np.int32(2 * points[list(outline), :2])], True, RED, 1, cv2.LINE_AA)
    left, top = 2 * points[:, :2].min(0) - 60
    right, bottom = 2 * points[:, :2].max(0) + 60
    return np.ascontiguousarray(large[int(top) : int(bottom), int(left) : int(right)])


def motion(original: list[float], result: list[float]) -> Image:
    """Both openings over time as curves."""
    width, height, margin = 900, 260, 40
    chart = np.full((height, width, 3), 255, np.uint8)
    highest = max(*original, *result)
    for values, colour, name, row in ((original, GREY, "original clip", 24), (result, BLUE, "result", 44)):
        x = np.linspace(margin, width - margin, len(values))
        y = height - margin - np.array(values) / highest * (height - 2 * margin)
        cv2.polylines(chart, [np.int32(np.stack([x, y], 1))], False, colour, 2, cv2.LINE_AA)
        cv2.putText(chart, name, (margin + 10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    cv2.line(chart, (margin, height - margin), (width - margin, height - margin), GREY, 1)
    for second in range(4):
        x = margin + second * (width - 2 * margin) // 3
        label = f"{second} s"
        cv2.putText(chart, label, (x - 10, height - 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREY, 1, cv2.LINE_AA)
    return chart


def mouths(before: list[Image], after: list[Image], track: list[Landmarks]) -> Image:
    """Three rows of the same crops: original, result and their difference, four times as strong."""
    centre = np.mean([points[[UPPER_LIP, LOWER_LIP], :2].mean(0) for points in track], axis=0)
    left, top = int(centre[0]) - 60, int(centre[1]) - 55
    rows = [[images[k][top : top + 110, left : left + 120] for k in SHOWN] for images in (before, after)]
    rows.append([cv2.convertScaleAbs(cv2.absdiff(a, b), alpha=4) for a, b in zip(*rows, strict=True)])
    return np.vstack([np.hstack(row) for row in rows])


if __name__ == "__main__":
    main()
