#!/usr/bin/env bash
# PyAV 18.1.0 and OpenCV 5.0.0: a video that is mirrored on playback is turned upside down.
#
# The matrix in an MP4's track header can mirror, not only rotate; FFmpeg writes one with -display_hflip, and applies it on
# decoding. PyAV's frame.rotation reduces it to an angle: a left-right mirror reads -180, a top-bottom mirror reads 0. Code
# that rotates by it shows people upside down in the first case. OpenCV's automatic rotation does the same to its frames.
# Expected: a flag beside the angle, or no rotation. The DISPLAYMATRIX side data of the frame tells the cases apart.
# Our guard: mirrored frames are flipped before they are rotated (lipsync.media.reader).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    av==18.1.0 opencv-python-headless==5.0.0.93 imageio-ffmpeg==0.8.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import av
import cv2
import imageio_ffmpeg
import numpy as np

WIDTH, HEIGHT = 64, 48
FFMPEG = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]


def corners(picture):
    """Grey levels in tens: top left, top right, bottom left, bottom right."""
    return [round(float(picture[y, x]) / 10) for y in (5, -5) for x in (5, -5)]


picture = np.full((HEIGHT, WIDTH), 60, np.uint8)
picture[:, WIDTH // 2 :] += 40
picture[HEIGHT // 2 :] += 80
with av.open("plain.mp4", "w") as output:
    stream = output.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, 2), "rgb24").reformat(format="yuv420p")
    frame.pts = 0
    output.mux(stream.encode(frame))
    output.mux(stream.encode(None))

seen = {}
for option in ("-display_hflip", "-display_vflip"):
    subprocess.run([*FFMPEG, option, "-i", "plain.mp4", "-c", "copy", "mirrored.mp4"], check=True)
    decode = [*FFMPEG, "-i", "mirrored.mp4", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    raw = subprocess.run(decode, check=True, capture_output=True).stdout
    by_ffmpeg = corners(np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH, 3)[..., 0])
    with av.open("mirrored.mp4") as container:
        frame = next(container.decode(video=0))
        (matrix,) = (np.frombuffer(data, np.int32) for data in frame.side_data if data.type.name == "DISPLAYMATRIX")
    by_opencv = corners(cv2.VideoCapture("mirrored.mp4").read()[1][..., 0])
    mirrored = int(matrix[0]) * int(matrix[4]) < 0
    print(f"{option}: FFmpeg {by_ffmpeg}; PyAV rotation {frame.rotation}, matrix mirrors: {mirrored}; OpenCV {by_opencv}")
    assert mirrored
    seen[option] = (by_ffmpeg, round(frame.rotation), by_opencv)
assert seen == {
    "-display_hflip": ([10, 6, 18, 14], -180, [18, 14, 10, 6]),
    "-display_vflip": ([14, 18, 6, 10], 0, [6, 10, 14, 18]),
}, seen
PYTHON
