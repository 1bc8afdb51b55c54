"""Prepare the clips of one speaker for training: tracked faces, audio, and the same speech in other voices.

    python training/prepare.py CLIPS_DIR PREPARED_DIR [--shifted 8] [--spoken 5]

Each clip becomes PREPARED_DIR/NAME.npz: ``landmarks`` (n, 478, 3) in pixels at 25 frames per second, ``audio`` (16
kHz), ``voices`` (v, m, 40) log band power, and ``kinds`` (v,): 0 for the clip itself, 1 for the vocoder, 2 for a speech
synthesiser. Held-out clips get voices that are not used in training. Existing files are skipped.
"""

from __future__ import annotations

import argparse
import random
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import voices
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from lipsync.faces.landmarker import Landmarker
from lipsync.faces.region import region_of
from lipsync.models.session_cache import SessionCache
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.motion import NETWORK_RATE
from lipsync.types import Colour, Face, Float32, Frame

WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter.upper() for letter in "abcdefghijklmnopqrstuvxyz"},
    {"z": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven"}
    | {"8": "eight", "9": "nine"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


def grid_sentence(name: str) -> str | None:
    """The sentence that a GRID clip's name encodes; None for any other name."""
    if len(name) != len(WORDS) or not all(letter in words for letter, words in zip(name, WORDS, strict=True)):
        return None
    return " ".join(words[letter] for letter, words in zip(name, WORDS, strict=True))


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


def other_voices(name: str, audio: Float32, count: int, spoken: int) -> tuple[list[Float32], list[int]]:
    """Log band power of the clip and of its other voices, and the kind of each."""
    rng = random.Random(zlib.crc32(name.encode()))
    shifts = voices.UNHEARD_SHIFTS if held_out(name) else voices.random_shifts(rng, count)
    powers = [voices.log_power(audio)]
    powers += [voices.log_power(other) for other in voices.vocode(audio, shifts, rng)]
    kinds = [0] + [1] * len(shifts)
    sentence = grid_sentence(name)
    speakers = (
        voices.installed_voices(voices.UNHEARD_SYNTHETIC if held_out(name) else voices.SYNTHETIC) if sentence else []
    )
    for voice in rng.sample(speakers, min(spoken, len(speakers))):
        speech = voices.speak(voice, sentence or "", rng.randint(135, 190), rng.randint(20, 80))
        power, cost = voices.align_to(audio, speech)
        if cost < voices.MAX_ALIGNMENT_COST:
            powers.append(power)
            kinds.append(2)
    return powers, kinds


def prepare(source: Path, target: Path, shifted: int = 8, spoken: int = 5) -> Iterator[tuple[str, bool]]:
    """Prepare every clip in a folder; yields its name and whether it was usable."""
    target.mkdir(parents=True, exist_ok=True)
    with Landmarker.open(SessionCache()) as landmarker:
        for path in sorted(source.glob("*.mp4")):
            out = target / f"{path.stem}.npz"
            if not out.exists():
                landmarks = read_face(path, landmarker)
                if landmarks is None or len(landmarks) < 2 * NETWORK_RATE:
                    yield path.stem, False
                    continue
                audio = read_audio(path)
                powers, kinds = other_voices(path.stem, audio, shifted, spoken)
                shortest = min(map(len, powers))
                stacked = np.stack([power[:shortest] for power in powers]).astype(np.float16)
                np.savez(out, landmarks=landmarks, audio=audio, voices=stacked, kinds=np.array(kinds))
            yield path.stem, True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of .mp4 clips of one speaker")
    parser.add_argument("prepared", type=Path, help="folder to write")
    parser.add_argument("--shifted", type=int, default=8, help="vocoder voices per clip (default: 8)")
    parser.add_argument("--spoken", type=int, default=5, help="synthetic voices per clip (default: 5)")
    args = parser.parse_args()
    for name, usable in prepare(args.clips, args.prepared, args.shifted, args.spoken):
        print(name if usable else f"{name}: skipped, no face in some frames", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
