"""Make the media of ``lipsync demo`` from two clips of the GRID corpus and scikit-image's astronaut photo.

    python scripts/make_demo_media.py s4_brwm8s.mp4 OTHER_SPEAKER.mp4

Writes clip.mp4, voice.m4a and photo.jpg to src/lipsync/demo/data. The clip is cropped around the head; clip and voice
are re-encoded to stay below 150 kB together.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
import cv2
from skimage import data

DATA = Path(__file__).parent.parent / "src/lipsync/demo/data"
LEFT, TOP, SIDE = 84, 64, 512  # pixels of the 720x576 clip: head and shoulders
CRF = "25"
VOICE_BITRATE, OWN_AUDIO_BITRATE = 40_000, 32_000  # bits/s
PHOTO_TOP, PHOTO_LEFT, PHOTO_HEIGHT, PHOTO_WIDTH = 0, 90, 400, 360
PHOTO_SCALE, JPEG_QUALITY = 2, 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="720x576 GRID clip whose face is shown")
    parser.add_argument("voice", type=Path, help="GRID clip of another speaker, whose sentence is spoken")
    arguments = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    encode_clip(arguments.clip, DATA / "clip.mp4")
    encode_voice(arguments.voice, DATA / "voice.m4a")
    write_photo(DATA / "photo.jpg")
    for file in sorted(DATA.glob("*.*")):
        print(f"{file.name}: {file.stat().st_size} bytes")


def encode_clip(source: Path, target: Path) -> None:
    """Crop the frames, encode them as H.264 and re-encode the clip's own audio."""
    with av.open(str(source)) as clip, av.open(str(target), "w", options={"movflags": "+faststart"}) as output:
        video = output.add_stream("libx264", rate=25, options={"crf": CRF, "preset": "veryslow", "bf": "3"})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        audio = output.add_stream("aac", rate=44_100, layout="mono", bit_rate=OWN_AUDIO_BITRATE)
        for index, frame in enumerate(clip.decode(video=0)):
            pixels = frame.to_ndarray(format="yuv420p")
            height, width = frame.height, frame.width
            luma = pixels[:height]
            chroma = pixels[height:].reshape(2, height // 2, width // 2)
            cropped = av.VideoFrame(SIDE, SIDE, "yuv420p")
            planes = (
                luma[TOP : TOP + SIDE, LEFT : LEFT + SIDE],
                *(plane[TOP // 2 : (TOP + SIDE) // 2, LEFT // 2 : (LEFT + SIDE) // 2] for plane in chroma),
            )
            for plane, values in zip(cropped.planes, planes, strict=True):
                rows = memoryview(plane).cast("B")
                for row, line in enumerate(values):
                    rows[row * plane.line_size : row * plane.line_size + line.size] = line.tobytes()
            cropped.pts, cropped.time_base = index, Fraction(1, 25)
            output.mux(video.encode(cropped))
        output.mux(video.encode(None))
        copy_audio(source, output, audio)


def encode_voice(source: Path, target: Path) -> None:
    with av.open(str(target), "w", format="ipod", options={"movflags": "+faststart"}) as output:
        copy_audio(source, output, output.add_stream("aac", rate=44_100, layout="mono", bit_rate=VOICE_BITRATE))


def copy_audio(source: Path, output: av.container.OutputContainer, stream: av.AudioStream) -> None:
    resampler = av.AudioResampler("fltp", "mono", 44_100)
    with av.open(str(source)) as clip:
        for frame in clip.decode(audio=0):
            for part in resampler.resample(frame):
                output.mux(stream.encode(part))
    for part in resampler.resample(None):
        output.mux(stream.encode(part))
    output.mux(stream.encode(None))


def write_photo(target: Path) -> None:
    """Enlarge the head and shoulders of astronaut Eileen Collins (NASA, public domain) to 720x800."""
    bottom, right = PHOTO_TOP + PHOTO_HEIGHT, PHOTO_LEFT + PHOTO_WIDTH
    photo = data.astronaut()[PHOTO_TOP:bottom, PHOTO_LEFT:right, ::-1]
    size = (PHOTO_WIDTH * PHOTO_SCALE, PHOTO_HEIGHT * PHOTO_SCALE)
    large = cv2.resize(photo, size, interpolation=cv2.INTER_LANCZOS4)
    cv2.imwrite(str(target), large, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))


if __name__ == "__main__":
    main()
