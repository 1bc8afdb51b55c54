"""The original mode of Wav2Lip: the published inference, step by step, for comparable results.

It follows the inference code of Prajwal et al., ACM Multimedia 2020: whole-pixel boxes averaged with the following four
frames, bilinear scaling in bytes, a rectangle pasted over the face, and mel windows that start at the frame. There are
two differences: frames without a face pass through, and audio shorter than a mel window is padded.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.base import Engine, EngineOptions, FrameRules, Rendered, Scene
from lipsync.engines.wav2lip.crop import SIDE, check_inside, crop_of_box, detected_crop, generator_input
from lipsync.engines.wav2lip.inference import FrameJob, GeneratorInput, GeneratorRunner, limited_batch
from lipsync.engines.wav2lip.mel import mel_columns, mel_windows, original_starts
from lipsync.frames.patch import quantise, read_patch, write_patch
from lipsync.frames.rgb import BT601, UNSPECIFIED, rgb_matrix, ycbcr_matrix
from lipsync.models.session import RunInfo
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Box, Face, Float32, Frame

DEFAULT_PADS: Final = (0, 10, 0, 0)  # pixels: top, bottom, left, right
AVERAGED_BOXES: Final = 5
ABSENT: Final = (0, 0, 0, 0)
CHROMA_MARGIN: Final = 4  # pixels around a box that contribute to its interpolated chroma

Boxes = NDArray[np.int64]  # (n, 4): left, top, right, bottom, the last two excluded
Bgr = NDArray[np.uint8]  # (h, w, 3)


class OriginalWav2Lip(Engine):
    """An engine for one job; see ``engines.base.Engine``."""

    frame_rules = FrameRules(loops=True, nearest=True, transforms_photos=False, enlivens_photos=False)

    def __init__(self, generator: GeneratorRunner, options: EngineOptions, batch: int) -> None:
        self._generator, self._options = generator, options
        self._boxes = array("q")  # four numbers for each frame
        self._requested_batch = self._batch = batch
        self.needs_faces = options.box is None
        if options.box is not None:
            crop_of_box(options.box)

    @property
    def run_info(self) -> RunInfo:
        return self._generator.run_info

    def frame_count(self, speech: SpeechAudio, rate: Fraction) -> int:
        """Return the number of mel windows: up to 200 ms of the audio get no frame."""
        return len(original_starts(speech.samples, rate))

    def observe(self, frame: Frame, face: Face | None) -> None:
        self._batch = limited_batch(self._requested_batch, frame)
        height, width = frame.y.shape
        if self._options.box is not None:
            top, bottom, left, right = self._options.box
            check_inside(self._options.box, frame)
            self._boxes.extend((max(0, left), max(0, top), min(right, width), min(bottom, height)))
        else:
            self._boxes.extend(ABSENT if face is None else self._detected_box(face, width, height))

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        repeats = scene.frame_count > len(scene.track)
        with closing(self._generator.run(self._jobs(frames, scene), self._batch, repeats)) as results:
            for job, generated in results:
                if generated is not None and job.placement is not None:
                    paste(job.frame, generated, job.placement)
                yield Rendered(job.frame, edited=generated is not None)

    def _jobs(self, frames: Iterable[Frame], scene: Scene) -> Generator[FrameJob[Box | None], None, None]:
        columns = mel_columns(scene.speech.blocks(scene.av_offset))
        windows = mel_windows(columns, original_starts(scene.speech.samples, scene.rate))
        boxes = self._averaged_boxes()
        for frame, mel in zip(frames, windows, strict=True):
            box = Box(*boxes[frame.index].tolist())
            if box.width < 1 or box.height < 1:
                yield FrameJob(frame, mel, None, None)
            else:
                view = face_image(read_bgr(frame, box))
                yield FrameJob(frame, mel, GeneratorInput(generator_input(view, view), frame.index), box)

    def _detected_box(self, face: Face, width: int, height: int) -> tuple[int, int, int, int]:
        """The detector's box in whole pixels, padded and clipped to the frame: left, top, right, bottom."""
        crop = detected_crop(face.landmarks)
        top, bottom, left, right = self._options.pads or DEFAULT_PADS
        low = max(0.0, crop.x - crop.width / 2), max(0.0, crop.y - crop.height / 2)
        high = crop.x + crop.width / 2, crop.y + crop.height / 2
        return (
            max(0, int(low[0]) - left),
            max(0, int(low[1]) - top),
            min(width, int(high[0]) + right),
            min(height, int(high[1]) + bottom),
        )

    def _averaged_boxes(self) -> Boxes:
        """The boxes of all frames; empty ones without a face."""
        boxes = np.array(self._boxes, np.int64).reshape(-1, len(ABSENT))
        present = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if self._options.smooth and self._options.box is None:
            boxes[present] = average_boxes(boxes[present])
        return boxes


def average_boxes(boxes: Boxes) -> Boxes:
    """Replace each box by the truncated mean of itself and the next four.

    Near the end, the window is the last five boxes. As in the original, earlier boxes in it are averages already.
    """
    result = boxes.copy()
    for i in range(len(result)):
        is_full = i + AVERAGED_BOXES <= len(result)
        result[i] = (result[i : i + AVERAGED_BOXES] if is_full else result[len(result) - AVERAGED_BOXES :]).mean(0)
    return result


def face_image(face: Bgr) -> Float32:
    """A cropped face of any size as an image of the generator's size, (3, 96, 96), BGR in 0..1."""
    return np.ascontiguousarray((cv2.resize(face, (SIDE, SIDE)) / 255.0).transpose(2, 0, 1), np.float32)


def resize_generated(generated: Float32, width: int, height: int) -> Bgr:
    """A generated face (3, 96, 96) in 0..1 as the rectangle (height, width, 3) that replaces the box."""
    truncated = (generated.transpose(1, 2, 0) * 255.0).astype(np.uint8)
    return np.asarray(cv2.resize(truncated, (width, height)), np.uint8)


def read_bgr(frame: Frame, box: Box) -> Bgr:
    """The box of the frame as (h, w, 3) bytes."""
    outer = _with_margin(box, frame)
    coded = read_patch(frame, outer)
    rgb = cv2.transform(coded.astype(np.float32), _to_rgb(frame) * 255)
    inner = rgb[box.within(outer)][..., ::-1]
    return np.ascontiguousarray(np.clip(np.rint(inner), 0, 255).astype(np.uint8))


def paste(frame: Frame, generated: Float32, box: Box) -> None:
    """Replace the box of the frame by a generated face (3, 96, 96), BGR in 0..1, in place."""
    rgb = resize_generated(generated, box.width, box.height)[..., ::-1] / np.float32(255)
    coded = cv2.transform(np.ascontiguousarray(rgb, np.float32), ycbcr_matrix(_to_rgb(frame)))
    outer = _with_margin(box, frame)
    before = read_patch(frame, outer)
    after = before.copy()
    inside = box.within(outer)
    after[inside] = quantise(np.asarray(coded, np.float32), frame.depth)
    replaced = np.zeros(before.shape[:2], np.float32)
    replaced[inside] = 1
    write_patch(frame, outer, before, after, replaced)


def _to_rgb(frame: Frame) -> Float32:
    """The conversion of the original's video reader: BT.601 at any size unless the file has a tag."""
    colour = frame.colour
    return rgb_matrix(replace(colour, matrix=BT601) if colour.matrix == UNSPECIFIED else colour, 0, frame.depth)


def _with_margin(box: Box, frame: Frame) -> Box:
    """An even box with CHROMA_MARGIN on each side, clipped to the frame."""
    height, width = frame.y.shape
    return box.grown(CHROMA_MARGIN).even().intersection(Box(0, 0, width, height))
