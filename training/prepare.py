"""Prepare clips for training and evaluation: tracked faces and sound.

    python training/prepare.py CLIPS... PREPARED

CLIPS are folders of clips at any depth; clips in one folder show one speaker. Each clip becomes
PREPARED/SPEAKER/NAME.npz: ``landmarks`` (n, 478, 3) in pixels at 25 frames per second, and ``audio`` (16 kHz). Existing
files are skipped.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from lipsync.faces.landmarker import Landmarker
from lipsync.faces.region import region_of
from lipsync.models.session_cache import SessionCache
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.motion import NETWORK_RATE
from lipsync.types import Colour, Face, Float32, Frame

VIDEOS = (".mp4", ".mov", ".mkv", ".mpg", ".avi", ".webm")


def held_out(name: str) -> bool:
    """Whether a clip is excluded from training: about one in twenty, selected by a hash of the name."""
    return zlib.crc32(name.encode()) % 20 == 0


def read_audio(path: Path) -> Float32:
    """The clip's audio, mono, 16 kHz, from the time of the first frame."""
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time or 0
        offset = -float(start * (container.streams.video[0].time_base or 0))
        resampler = av.AudioResampler("flt", "mono", SPEECH_RATE)
        pieces: list[Float32] = []
        for frame in container.decode(audio=0):
            if not pieces and frame.pts is not None and frame.time_base is not None:
                offset += float(frame.pts * frame.time_base)
            pieces += [_samples(block) for block in resampler.resample(frame)]
        pieces += [_samples(block) for block in resampler.resample(None)]
    lead = round(offset * SPEECH_RATE)
    audio = np.concatenate([np.zeros(max(0, lead), np.float32), *pieces])[max(0, -lead) :]
    return np.asarray(audio, np.float32)


def _samples(frame: AudioFrame) -> Float32:
    return np.asarray(frame.to_ndarray(), np.float32).ravel()


def read_face(path: Path, landmarker: Landmarker) -> Float32 | None:
    """The largest face's landmarks (n, 478, 3) at 25 frames per second; None if tracking loses it."""
    points, times, face = [], [], None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            face = _track(_frame(frame), face, landmarker)
            if face is None or frame.time is None:
                return None
            points.append(face.landmarks.astype(np.float64))
            times.append(frame.time)
    seconds = np.array(times) - times[0]
    frame_times = np.arange(int(seconds[-1] * NETWORK_RATE + 1.01)) / NETWORK_RATE
    right = np.clip(np.searchsorted(seconds, frame_times), 1, len(seconds) - 1)
    share = ((frame_times - seconds[right - 1]) / (seconds[right] - seconds[right - 1])).clip(0, 1)[:, None, None]
    stacked = np.stack(points)
    return np.asarray(stacked[right - 1] * (1 - share) + stacked[right] * share, np.float32)


def _track(picture: Frame, last: Face | None, landmarker: Landmarker) -> Face | None:
    if last is None:
        found = landmarker.find(picture)
        last = found[0] if found else None
    return None if last is None else landmarker.landmarks(picture, region_of(last.landmarks))


def _frame(frame: VideoFrame) -> Frame:
    planar = np.asarray(frame.reformat(format="yuv420p").to_ndarray(), np.uint8)
    height, width = frame.height, frame.width
    luma, chroma = planar[:height], planar[height:].reshape(2, height // 2, width // 2)
    return Frame(0, luma, chroma[0], chroma[1], 8, Colour())


def find_clips(folder: Path) -> list[tuple[str, Path]]:
    """Every video below a folder, with its speaker: the name of the folder that it is in."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    return [(path.parent.name, path) for path in found]


def prepare(sources: Sequence[Path], target: Path) -> Iterator[tuple[str, bool]]:
    """Prepare every clip in some folders; yields its name and whether it was usable."""
    with Landmarker.open(SessionCache()) as landmarker:
        for speaker, path in (clip for source in sources for clip in find_clips(source)):
            out = target / speaker / f"{path.stem}.npz"
            usable = out.exists() or _prepare_clip(path, out, landmarker)
            yield f"{speaker}/{path.stem}", usable


def _prepare_clip(path: Path, out: Path, landmarker: Landmarker) -> bool:
    landmarks = read_face(path, landmarker)
    if landmarks is None or len(landmarks) < 2 * NETWORK_RATE:
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, landmarks=landmarks, audio=read_audio(path))
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", help="folders of clips, one speaker per folder")
    parser.add_argument("prepared", type=Path, help="folder to write")
    args = parser.parse_args()
    for name, usable in prepare(args.clips, args.prepared):
        print(name if usable else f"{name}: skipped, no face in some frames", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
