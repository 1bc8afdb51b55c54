#!/usr/bin/env bash
# OpenCV 5.0.0 and decord 0.6.0: a video that starts after its audio gets timestamps from 0, so that the delay is lost.
#
# Cameras and stream copies often begin with audio; an empty edit in the MP4 then starts the video late, here by 0.4 s.
# PyAV gives the first frame 0.4 s. VideoCapture's CAP_PROP_POS_MSEC and decord's get_frame_timestamp() give 0.0 s; only
# OpenCV's newer CAP_PROP_PTS keeps the delay, as 10 frames. Pictures timed in the usual ways are 0.4 s ahead of the audio,
# far more than lip sync allows. Expected: 0.4 s, the time on the clock that both streams share.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    decord==0.6.0 opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import cv2
import decord
import numpy as np

RATE, DELAY = 25, 10  # frames/s, frames
with av.open("talk.mp4", "w") as output:
    video = output.add_stream("libx264", rate=RATE)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    audio = output.add_stream("aac", rate=48_000, layout="mono")
    sound = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
    sound.sample_rate, sound.pts, sound.time_base = 48_000, 0, Fraction(1, 48_000)
    output.mux(audio.encode(sound))
    output.mux(audio.encode(None))
    for number in range(5):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8), "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = DELAY + number, Fraction(1, RATE)
        output.mux(video.encode(frame))
    output.mux(video.encode(None))

with av.open("talk.mp4") as container:
    by_pyav = float(next(container.decode(video=0)).time)
with av.open("talk.mp4") as container:
    first_sound = float(next(container.decode(audio=0)).time)
capture = cv2.VideoCapture("talk.mp4")
assert capture.read()[0]
by_opencv, pts = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, capture.get(cv2.CAP_PROP_PTS)
by_decord = float(decord.VideoReader("talk.mp4").get_frame_timestamp(0)[0])
print(f"first sample {first_sound} s; first frame: PyAV {by_pyav} s, OpenCV {by_opencv} s (PTS {pts:g}), decord {by_decord} s")
assert (first_sound, by_pyav, by_opencv, by_decord, pts) == (0.0, 0.4, 0.0, 0.0, DELAY)
PYTHON
