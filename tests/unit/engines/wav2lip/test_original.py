"""The faithful engine against the original's procedure, told again here in plain NumPy and OpenCV, without ours."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.wav2lip import open_engine
from lipsync.engines.wav2lip.crop import detected_box
from lipsync.engines.wav2lip.mel import mel_columns, original_starts
from lipsync.engines.wav2lip.original import averaged
from lipsync.errors import OptionInvalid
from lipsync.faces.tracker import follow
from lipsync.media.audio_reader import listen
from lipsync.media.probe import probe
from lipsync.media.reader import loop, read
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces

FRAMES = 47  # of 2 seconds of sound


@pytest.fixture(scope="module")
def heard(voice):
    with listen(probe(voice), allow_clipped=False) as sound:
        yield sound


@pytest.fixture
def made(speaker, heard, models_dir):
    """Run the engine; gives the pictures as the encoder would get them."""

    def run(**wishes):
        options = EngineOptions(models_dir=models_dir, original=True, batch_size=8, precision="fp32", **wishes)
        engine = open_engine("wav2lip", options, SessionCache(), Monitor())
        footage = probe(speaker)
        with track_faces(footage, FRAMES, "largest", [engine], SessionCache(), Monitor()) as track:
            scene = Scene(track, heard, footage.video.rate, FRAMES)
            with closing(engine.synthesise(loop(footage, FRAMES, len(track)), scene)) as frames:
                return [output.frame for output in frames]

    return run


@pytest.fixture
def detections(speaker, landmarker):
    """The detector's answers, as the original takes them: whole pixels, cut off; left, top, right, bottom."""

    def rect(face):
        crop = detected_box(face.landmarks)
        left, top = crop.x - crop.width / 2, crop.y - crop.height / 2
        return tuple(int(max(0, n)) for n in (left, top, left + crop.width, top + crop.height))

    return [rect(seen.face) for seen in follow(read(probe(speaker)), landmarker, "largest")]


def to_bgr(picture) -> np.ndarray:
    """BT.601 in limited range, colour interpolated: what the original's reader gives."""
    size = picture.y.shape[::-1]
    u, v = (
        cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR).astype(float) - 128 for plane in (picture.u, picture.v)
    )
    y = (picture.y.astype(float) - 16) * 255 / 219
    u, v = u * 255 / 224, v * 255 / 224
    bgr = np.stack([y + 1.772 * u, y - 0.344136 * u - 0.714136 * v, y + 1.402 * v], -1)
    return np.clip(np.rint(bgr), 0, 255).astype(np.uint8)


def to_planes(bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luma, and both colours at half size (h / 2, w / 2, 2): what an encoder makes of the original's frames."""
    b, g, r = (bgr[..., k].astype(float) for k in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = np.stack([(b - y) / 1.772, (r - y) / 1.402], -1) * 224 / 255 + 128
    height, width = y.shape
    halved = chroma.reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3))
    return 16 + y * 219 / 255, halved


def network(mel: np.ndarray, img_batch: np.ndarray) -> np.ndarray:
    """What the stand-in for the generator does, on (n, 80, 16) and (n, 96, 96, 6), to (n, 96, 96, 3)."""
    rows, columns = np.mgrid[:96, :96]
    oval = (((columns - 47.5) / 17) ** 2 + ((rows - 72) / 9) ** 2 < 1)[None, ..., None]
    share = np.tanh(mel.mean((1, 2)) + 4)[:, None, None, None]
    shown = img_batch[..., 3:]
    return shown + (np.array([0.1, 0.1, 0.9]) - shown) * oval * share


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
    """The share of luma samples, and of colour samples in the boxes, within 1 of 255 of what is expected.

    Colour outside of them is left out: the original interpolates it up and down again, where ours stays as it was.
    """
    luma, colour = [], []
    for i, (picture, bgr) in enumerate(zip(ours, expected, strict=True)):
        y, chroma = to_planes(bgr)
        luma.append(np.abs(picture.y - np.rint(y)) <= 1)
        y1, y2, x1, x2 = boxes[i % len(boxes)]
        inside = slice((y1 + 1) // 2, y2 // 2), slice((x1 + 1) // 2, x2 // 2)
        away = np.abs(np.stack([picture.u, picture.v], -1) - np.rint(chroma))
        colour.append(away[inside].ravel() <= 1)
    return float(np.mean(luma)), float(np.concatenate(colour).mean())


@pytest.mark.parametrize(
    "wishes",
    [{}, {"smooth": False}, {"pads": (20, 5, 10, 30)}, {"box": (41, 200, 88, 230)}],
    ids=["as it is", "nosmooth", "pads", "box"],
)
def test_the_frames_before_encoding_are_the_originals(made, detections, speaker, heard, wishes):
    pictures = list(read(probe(speaker)))
    frames = [to_bgr(p) for p in pictures]
    if "box" in wishes:
        boxes = [wishes["box"]] * len(frames)
    else:
        pads = wishes.get("pads", (0, 10, 0, 0))
        boxes = padded_and_averaged(detections, frames[0].shape[:2], pads, not wishes.get("smooth", True))
    mel = np.concatenate(list(mel_columns(heard.blocks())), 1)
    expected = original(frames, boxes, mel, 25.0)
    ours = made(**wishes)
    assert len(ours) == len(expected) == FRAMES
    luma, colour = close(ours, expected, boxes)
    assert luma >= 0.999
    assert colour >= 0.999


def test_what_is_outside_the_box_stays_to_the_bit(made, speaker):
    ours, source = made(box=(40, 200, 88, 230)), list(read(probe(speaker)))
    for i, picture in enumerate(ours):
        before = source[i % 40]
        outside = np.ones(picture.y.shape, bool)
        outside[40:200, 88:230] = False
        assert (picture.y[outside] == before.y[outside]).all()
        assert (picture.u[outside[::2, ::2]] == before.u[outside[::2, ::2]]).all()


def test_boxes_are_averaged_over_the_next_five_and_cut_to_whole_numbers():
    boxes = np.array([[k, 2 * k, 100 + k, 3] for k in (0, 1, 5, 2, 9, 4, 7)])
    assert averaged(boxes)[:, 0].tolist() == [3, 4, 5, 5, 6, 5, 5]
    assert averaged(boxes[:3]).shape == (3, 4)


def test_as_many_frames_as_the_original_makes(heard):
    assert len(original_starts(heard.samples, Fraction(25))) == FRAMES


def test_a_box_that_holds_nothing_is_told(models_dir):
    with pytest.raises(OptionInvalid, match="holds nothing"):
        open_engine(
            "wav2lip",
            EngineOptions(models_dir=models_dir, original=True, box=(50, 40, 10, 90)),
            SessionCache(),
            Monitor(),
        )
