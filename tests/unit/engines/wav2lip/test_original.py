"""The original mode against an independent version of the original's procedure in plain NumPy and OpenCV."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.wav2lip import open_engine
from lipsync.engines.wav2lip.crop import detected_crop
from lipsync.engines.wav2lip.mel import mel_columns, original_starts
from lipsync.engines.wav2lip.original import average_boxes
from lipsync.errors import OptionInvalid
from lipsync.faces.selection import Person
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.tracker import follow
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.media.reader import loop, read
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces

FRAMES = 47  # of 2 seconds of sound


@pytest.fixture(scope="module")
def speech(voice):
    with decode_speech(probe(voice), allow_clipped=False) as recording:
        yield recording


@pytest.fixture
def render(speaker, speech, models_dir):
    """Run the engine; returns the frames that the encoder would get."""

    def run(**options):
        engine_options = EngineOptions(models_dir=models_dir, original=True, batch_size=8, precision="fp32", **options)
        engine = open_engine("wav2lip", engine_options, SessionCache(), Monitor())
        footage = probe(speaker)
        with track_faces(footage, FRAMES, "largest", [engine], SessionCache(), Monitor()) as track:
            scene = Scene(SmoothedFaces(track), speech, footage.video.rate, FRAMES)
            with closing(engine.synthesise(loop(footage, FRAMES, len(track)), scene)) as frames:
                return [output.frame for output in frames]

    return run


@pytest.fixture
def detections(speaker, landmarker, recogniser):
    """The detector's boxes as the original takes them, truncated to whole pixels: left, top, right, bottom."""

    def rect(face):
        crop = detected_crop(face.landmarks)
        left, top = crop.x - crop.width / 2, crop.y - crop.height / 2
        return tuple(int(max(0, n)) for n in (left, top, left + crop.width, top + crop.height))

    return [rect(tracked.face) for tracked in follow(read(probe(speaker)), landmarker, Person("largest", recogniser))]


def to_bgr(frame) -> np.ndarray:
    """BT.601 in limited range, with interpolated chroma, as the original's reader converts."""
    size = frame.y.shape[::-1]
    u, v = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR).astype(float) - 128 for plane in (frame.u, frame.v))
    y = (frame.y.astype(float) - 16) * 255 / 219
    u, v = u * 255 / 224, v * 255 / 224
    bgr = np.stack([y + 1.772 * u, y - 0.344136 * u - 0.714136 * v, y + 1.402 * v], -1)
    return np.clip(np.rint(bgr), 0, 255).astype(np.uint8)


def to_planes(bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luma, and chroma at half size (h / 2, w / 2, 2), as an encoder converts the original's frames."""
    b, g, r = (bgr[..., k].astype(float) for k in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = np.stack([(b - y) / 1.772, (r - y) / 1.402], -1) * 224 / 255 + 128
    height, width = y.shape
    halved = chroma.reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3))
    return 16 + y * 219 / 255, halved


def network(mel: np.ndarray, img_batch: np.ndarray) -> np.ndarray:
    """The stand-in generator in NumPy: (n, 80, 16) and (n, 96, 96, 6) to (n, 96, 96, 3)."""
    rows, columns = np.mgrid[:96, :96]
    oval = (((columns - 47.5) / 17) ** 2 + ((rows - 72) / 9) ** 2 < 1)[None, ..., None]
    share = np.tanh(mel.mean((1, 2)) + 4)[:, None, None, None]
    reference = img_batch[..., 3:]
    return reference + (np.array([0.1, 0.1, 0.9]) - reference) * oval * share


def original(frames: list[np.ndarray], boxes: list, mel: np.ndarray, fps: float) -> list[np.ndarray]:
    """Boxes are (y1, y2, x1, x2), one for each frame of the footage."""
    chunks, i = [], 0
    while True:
        start = int(i * (80.0 / fps))
        if start + 16 > mel.shape[1]:
            chunks.append(mel[:, mel.shape[1] - 16 :])
            break
        chunks.append(mel[:, start : start + 16])
        i += 1
    results = []
    for i, chunk in enumerate(chunks):
        frame, (y1, y2, x1, x2) = frames[i % len(frames)].copy(), boxes[i % len(frames)]
        face = cv2.resize(frame[y1:y2, x1:x2], (96, 96))
        masked = face.copy()
        masked[96 // 2 :, :] = 0
        batch = np.concatenate((masked, face), axis=2)[None] / 255.0
        (p,) = network(chunk[None], batch) * 255.0
        frame[y1:y2, x1:x2] = cv2.resize(p.astype(np.uint8), (x2 - x1, y2 - y1))
        results.append(frame)
    return results


def padded_and_averaged(rects: list, shape: tuple[int, int], pads: tuple[int, int, int, int], nosmooth: bool) -> list:
    pady1, pady2, padx1, padx2 = pads
    results = [
        [max(0, x1 - padx1), max(0, y1 - pady1), min(shape[1], x2 + padx2), min(shape[0], y2 + pady2)]
        for x1, y1, x2, y2 in rects
    ]
    boxes = np.array(results)
    if not nosmooth:
        for i in range(len(boxes)):
            window = boxes[len(boxes) - 5 :] if i + 5 > len(boxes) else boxes[i : i + 5]
            boxes[i] = np.mean(window, axis=0)
    return [(y1, y2, x1, x2) for x1, y1, x2, y2 in boxes]


def close(ours, expected: list[np.ndarray], boxes: list) -> tuple[float, float]:
    """The shares of luma samples, and of chroma samples inside the boxes, within 1 of 255 of the expected value.

    Chroma outside is left out: the original resamples it twice, while the engine leaves it unchanged.
    """
    luma, colour = [], []
    for i, (frame, bgr) in enumerate(zip(ours, expected, strict=True)):
        y, chroma = to_planes(bgr)
        luma.append(np.abs(frame.y - np.rint(y)) <= 1)
        y1, y2, x1, x2 = boxes[i % len(boxes)]
        inside = slice((y1 + 1) // 2, y2 // 2), slice((x1 + 1) // 2, x2 // 2)
        away = np.abs(np.stack([frame.u, frame.v], -1) - np.rint(chroma))
        colour.append(away[inside].ravel() <= 1)
    return float(np.mean(luma)), float(np.concatenate(colour).mean())


@pytest.mark.parametrize(
    "options",
    [{}, {"smooth": False}, {"pads": (20, 5, 10, 30)}, {"box": (41, 200, 88, 230)}],
    ids=["defaults", "nosmooth", "pads", "box"],
)
def test_the_frames_before_encoding_are_the_originals(render, detections, speaker, speech, options):
    frames = [to_bgr(frame) for frame in read(probe(speaker))]
    if "box" in options:
        boxes = [options["box"]] * len(frames)
    else:
        pads = options.get("pads", (0, 10, 0, 0))
        boxes = padded_and_averaged(detections, frames[0].shape[:2], pads, not options.get("smooth", True))
    mel = np.concatenate(list(mel_columns(speech.blocks())), 1)
    expected = original(frames, boxes, mel, 25.0)
    ours = render(**options)
    assert len(ours) == len(expected) == FRAMES
    luma, colour = close(ours, expected, boxes)
    assert luma >= 0.999
    assert colour >= 0.999


def test_pixels_outside_the_box_are_unchanged(render, speaker):
    ours, source = render(box=(40, 200, 88, 230)), list(read(probe(speaker)))
    for i, frame in enumerate(ours):
        before = source[i % 40]
        outside = np.ones(frame.y.shape, bool)
        outside[40:200, 88:230] = False
        assert (frame.y[outside] == before.y[outside]).all()
        assert (frame.u[outside[::2, ::2]] == before.u[outside[::2, ::2]]).all()


def test_boxes_are_averaged_with_the_next_four_and_truncated():
    boxes = np.array([[k, 2 * k, 100 + k, 3] for k in (0, 1, 5, 2, 9, 4, 7)])
    assert average_boxes(boxes)[:, 0].tolist() == [3, 4, 5, 5, 6, 5, 5]
    assert average_boxes(boxes[:3]).shape == (3, 4)


def test_the_number_of_frames_is_the_originals(speech):
    assert len(original_starts(speech.samples, Fraction(25))) == FRAMES


def test_an_empty_box_is_rejected(models_dir):
    with pytest.raises(OptionInvalid, match="expected top < bottom and left < right"):
        open_engine(
            "wav2lip",
            EngineOptions(models_dir=models_dir, original=True, box=(50, 40, 10, 90)),
            SessionCache(),
            Monitor(),
        )
