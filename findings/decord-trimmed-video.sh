#!/usr/bin/env bash
# decord 0.6.0 and OpenCV 5.0.0: a trimmed MP4 has more frames than it shows, and decord makes the missing ones up.
#
# A trim without encoding keeps the frames back to a key frame and hides them with an edit list. Of 30 frames here, 10 are
# hidden, and PyAV gives the other 20. decord says len 30: indices 0 to 19 are right, 20 to 29 repeat the last frame, and
# the timestamps begin at -0.4 s. OpenCV's CAP_PROP_FRAME_COUNT says 30, read() gives 20. Expected: 20 frames everywhere.
# A mouth that is driven by frame numbers then freezes for the last third.
# Our guard: hidden packets are not counted (lipsync.media.timing).
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

RATE, COUNT, HIDDEN = 25, 30, 10
with av.open("full.mp4", "w") as output:
    stream = output.add_stream("libx264", rate=RATE)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(COUNT):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + 6 * number, np.uint8), "rgb24")
        frame.pts = number
        output.mux(stream.encode(frame.reformat(format="yuv420p")))
    output.mux(stream.encode(None))
with av.open("full.mp4") as full, av.open("trimmed.mp4", "w") as output:
    source = full.streams.video[0]
    copy = output.add_stream_from_template(source)
    for packet in full.demux(source):
        if packet.size:
            shift = int(Fraction(HIDDEN, RATE) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
            output.mux(packet)


def number_of(picture):
    return round((float(np.mean(picture)) - 40) / 6)


with av.open("trimmed.mp4") as container:
    shown = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
reader = decord.VideoReader("trimmed.mp4")
decoded = [number_of(frame.asnumpy()) for frame in reader]
start = float(reader.get_frame_timestamp(0)[0])
capture = cv2.VideoCapture("trimmed.mp4")
stated, read = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
while capture.read()[0]:
    read += 1
print(f"PyAV: {len(shown)} frames, {shown[0]} to {shown[-1]}")
print(f"decord: len {len(reader)}, from {start:.2f} s, frames {decoded}")
print(f"OpenCV: stated {stated}, read {read}")
assert shown == list(range(HIDDEN, COUNT))
assert decoded == shown + [COUNT - 1] * HIDDEN and round(start, 2) == -0.4
assert (stated, read) == (COUNT, COUNT - HIDDEN)
PYTHON
