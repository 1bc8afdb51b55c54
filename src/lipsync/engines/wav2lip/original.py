"""Wav2Lip step by step as its authors published it, for who needs the same result.

Prajwal et al., ACM Multimedia 2020, and what their inference does around the generator: whole-pixel boxes averaged
over the five frames that follow, bilinear scaling in bytes, a rectangle pasted over the face, windows of sound that
begin with the frame. Only what broke is mended: frames without a face pass through, short sound is filled up.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.base import EngineOptions, Rendered, Scene
from lipsync.engines.wav2lip.crop import SIDE, boxed, check_inside, detected_box
from lipsync.engines.wav2lip.inference import FrameJob, GeneratorInput, GeneratorRunner, batch_for
from lipsync.engines.wav2lip.mel import mel_columns, mel_windows, original_starts
from lipsync.frames.patch import quantise, read_patch, write_patch
from lipsync.frames.rgb import BT601, UNSPECIFIED, rgb_matrix, ycbcr_matrix
from lipsync.models.session import RunInfo
from lipsync.types import Box, Face, Float32, Frame

PADS = (0, 10, 0, 0)
AVERAGED = 5  # boxes
ABSENT = (0, 0, 0, 0)
ROOM = 4  # pixels around a box that take part when colours are interpolated

Boxes = NDArray[np.int64]  # (n, 4): left, top, right, bottom, the last two excluded
Bgr = NDArray[np.uint8]  # (h, w, 3)


class OriginalWav2Lip:
    """One job's engine; see ``engines.base.Engine``."""

    def __init__(self, generator: GeneratorRunner, options: EngineOptions, batch: int) -> None:
        self._generator, self._options = generator, options
        self._boxes = array("q")  # four numbers of each frame
        self._wished = self._batch = batch
        self.needs_faces = options.box is None
        if options.box is not None:
            boxed(options.box)

    @property
    def run_info(self) -> RunInfo:
        return self._generator.run_info

    def observe(self, picture: Frame, face: Face | None) -> None:
        self._batch = batch_for(picture, self._wished)
        height, width = picture.y.shape
        if self._options.box is not None:
            top, bottom, left, right = self._options.box
            check_inside(self._options.box, picture)
            self._boxes.extend((max(0, left), max(0, top), min(right, width), min(bottom, height)))
        else:
            self._boxes.extend(ABSENT if face is None else self._box(face, width, height))

    def synthesise(self, pictures: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        repeats = scene.frames > len(scene.track)
        with closing(self._generator.run(self._work(pictures, scene), self._batch, repeats)) as done:
            for work, made in done:
                if made is not None and work.place is not None:
                    paste(work.frame, made, work.place)
                yield Rendered(work.frame, edited=made is not None)

    def _work(self, pictures: Iterable[Frame], scene: Scene) -> Generator[FrameJob[Box | None], None, None]:
        columns = mel_columns(scene.voice.blocks(scene.av_offset))
        windows = mel_windows(columns, original_starts(scene.voice.samples, scene.rate))
        boxes = self._averaged()
        for picture, mel in zip(pictures, windows, strict=True):
            box = Box(*boxes[picture.index].tolist())
            if box.width < 1 or box.height < 1:
                yield FrameJob(picture, mel, None, None)
            else:
                yield FrameJob(
                    picture, mel, GeneratorInput(generator_input(read_bgr(picture, box)), picture.index), box
                )

    def _box(self, face: Face, width: int, height: int) -> tuple[int, int, int, int]:
        """The detector's whole pixels, with the pads, cut at the picture."""
        crop = detected_box(face.landmarks)
        top, bottom, left, right = self._options.pads or PADS
        low = max(0.0, crop.x - crop.width / 2), max(0.0, crop.y - crop.height / 2)
        high = crop.x + crop.width / 2, crop.y + crop.height / 2
        return (
            max(0, int(low[0]) - left),
            max(0, int(low[1]) - top),
            min(width, int(high[0]) + right),
            min(height, int(high[1]) + bottom),
        )

    def _averaged(self) -> Boxes:
        """The box of every frame; an empty one where there is no face."""
        boxes = np.array(self._boxes, np.int64).reshape(-1, len(ABSENT))
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if self._options.smooth and self._options.box is None:
            boxes[seen] = averaged(boxes[seen])
        return boxes


def averaged(boxes: Boxes) -> Boxes:
    """Each box as the mean of itself and the next four, cut to whole numbers; the last four as the mean of the last
    five, of which those before are averages already."""
    result = boxes.copy()
    for i in range(len(result)):
        window = result[len(result) - AVERAGED :] if i + AVERAGED > len(result) else result[i : i + AVERAGED]
        result[i] = window.mean(0)
    return result


def generator_input(face: Bgr) -> Float32:
    """A cut-out face of any size as (6, 96, 96): with its lower half black, then whole; BGR in 0..1."""
    small = cv2.resize(face, (SIDE, SIDE))
    masked = small.copy()
    masked[SIDE // 2 :] = 0
    return np.ascontiguousarray((np.concatenate([masked, small], 2) / 255.0).transpose(2, 0, 1), np.float32)


def pasted(made: Float32, width: int, height: int) -> Bgr:
    """A generated face (3, 96, 96) in 0..1 as the rectangle (height, width, 3) that replaces the box."""
    whole = (made.transpose(1, 2, 0) * 255.0).astype(np.uint8)
    return np.asarray(cv2.resize(whole, (width, height)), np.uint8)


def read_bgr(picture: Frame, box: Box) -> Bgr:
    """The box of the picture as (h, w, 3) bytes."""
    wide = _widened(box, picture)
    coded = read_patch(picture, wide)
    rgb = cv2.transform(coded.astype(np.float32), _to_rgb(picture) * 255)
    inner = rgb[box.within(wide)][..., ::-1]
    return np.ascontiguousarray(np.clip(np.rint(inner), 0, 255).astype(np.uint8))


def paste(picture: Frame, made: Float32, box: Box) -> None:
    """Replace the box of the picture by a generated face (3, 96, 96), BGR in 0..1."""
    rgb = pasted(made, box.width, box.height)[..., ::-1] / np.float32(255)
    coded = cv2.transform(np.ascontiguousarray(rgb, np.float32), ycbcr_matrix(_to_rgb(picture)))
    wide = _widened(box, picture)
    before = read_patch(picture, wide)
    after = before.copy()
    inside = box.within(wide)
    after[inside] = quantise(np.asarray(coded, np.float32), picture.depth)
    replaced = np.zeros(before.shape[:2], np.float32)
    replaced[inside] = 1
    write_patch(picture, wide, before, after, replaced)


def _to_rgb(picture: Frame) -> Float32:
    """What the original's reader takes colours to be: of standard definition unless the file says so, at any size."""
    colour = picture.colour
    return rgb_matrix(replace(colour, matrix=BT601) if colour.matrix == UNSPECIFIED else colour, 0, picture.depth)


def _widened(box: Box, picture: Frame) -> Box:
    """An even box with some room around, as far as the picture reaches."""
    height, width = picture.y.shape
    return box.grown(ROOM).even().intersection(Box(0, 0, width, height))
