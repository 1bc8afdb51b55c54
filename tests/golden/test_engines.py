"""The mouths that each engine draws on a real face, compared with stored images.

Each PNG shows the mouth in four output frames of one engine: open, in a pause, open, in a pause. The face is
scikit-image's astronaut photo. Both Wav2Lip modes and hybrid run on the stand-in generator of ``models_dir``, which
paints red lips during speech. After an intended change of an engine's output, regenerate the images with

    pytest tests/golden --update-golden

and look at each of them before committing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lipsync.engines import ENGINES
from lipsync.engines.base import EngineOptions, Scene
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.media.reader import ping_pong
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_faces
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Frame

FOLDER = Path(__file__).parent
SIZE, FRAMES = (320, 240), 40
OUTPUT_FRAMES = 47  # the original mode's number for two seconds of audio
SHEET_FRAMES = (2, 12, 19, 29)  # output frames; the mouth is open in the first and third
MOUTH = (slice(132, 204), slice(112, 208))  # rows and columns
MIN_PSNR = 38.0  # dB: all networks run in float32, so processors differ by rounding alone
MAX_PSNR_TO_SOURCE = 34.0  # dB


@pytest.fixture(scope="module")
def nodding(moved: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The video of ``speaker`` in a lossless codec, so that every processor decodes the same pixels."""
    path = tmp_path_factory.mktemp("golden") / "nodding.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for k in range(FRAMES):
            at = (160 + 8 * np.sin(k / 6), 115 + 4 * np.cos(k / 5))
            rgb = moved(at, 1.6, 0.05 * np.sin(k / 7), SIZE)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def speech(vowels: Path) -> Iterator[SpeechAudio]:
    with decode_speech(probe(vowels), allow_clipped=False) as audio:
        yield audio


def mouth_sheet(frames: list[Frame]) -> np.ndarray:
    """The mouths in SHEET_FRAMES side by side, BGR."""
    return np.concatenate([to_bgr(frames[k])[MOUTH] for k in SHEET_FRAMES], 1)


def to_bgr(frame: Frame) -> np.ndarray:
    planes = np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])
    return cv2.cvtColor(planes.reshape(SIZE[1] * 3 // 2, SIZE[0]), cv2.COLOR_YUV2BGR_I420)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """The peak signal-to-noise ratio in dB, of the mouth that differs most."""
    errors = [((a.astype(float) - b) ** 2).mean() for a, b in zip(mouths(one), mouths(other), strict=True)]
    return float(10 * np.log10(255**2 / max(*errors, 1e-9)))


def mouths(sheet: np.ndarray) -> list[np.ndarray]:
    return np.split(sheet, len(SHEET_FRAMES), 1)


@pytest.fixture(scope="module")
def source(nodding: Path) -> np.ndarray:
    return mouth_sheet(list(ping_pong(probe(nodding), FRAMES, FRAMES)))


def rendered(engine_name: str, original: bool, video: Path, audio: SpeechAudio, models: Path) -> list[Frame]:
    options = EngineOptions(models_dir=models, original=original, batch_size=8, precision="fp32", device="cpu")
    engine = ENGINES[engine_name].open(options, SessionCache(), Monitor())
    clip = probe(video)
    with track_faces(clip, FRAMES, "largest", [engine], SessionCache(), Monitor()) as track:
        scene = Scene(SmoothedFaces(track), audio, Fraction(25), OUTPUT_FRAMES)
        with closing(engine.synthesise(ping_pong(clip, OUTPUT_FRAMES, FRAMES), scene)) as frames:
            return [output.frame for output in frames]


@pytest.mark.parametrize(
    ("engine", "original"),
    [("passthrough", False), ("rewrite", False), ("wav2lip", False), ("wav2lip", True), ("hybrid", False)],
    ids=["passthrough", "rewrite", "wav2lip", "wav2lip-original", "hybrid"],
)
def test_an_engine_draws_the_stored_mouths(request, engine, original, nodding, speech, models_dir, source):
    path = FOLDER / f"{engine}{'-original' if original else ''}.png"
    sheet = mouth_sheet(rendered(engine, original, nodding, speech, models_dir))
    if request.config.getoption("--update-golden", default=False):
        cv2.imwrite(str(path), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    golden = cv2.imread(str(path))
    assert psnr(sheet, golden) >= MIN_PSNR
    if engine == "passthrough":
        assert psnr(golden, source) >= MIN_PSNR
    else:
        assert psnr(golden, source) <= MAX_PSNR_TO_SOURCE
