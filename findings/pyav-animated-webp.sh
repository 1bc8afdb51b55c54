#!/usr/bin/env bash
# PyAV 18.1.0 (libavcodec 62.28): the wheel writes animated WebP that the same wheel cannot read.
#
# The encoder libwebp_anim and the muxer webp make a valid animation (VP8X, ANIM and one ANMF chunk per frame; browsers play
# it). Opening that file gives a stream of unknown codec and size 0x0, and decoding it raises InvalidDataError. Nothing
# about the stream says that animation is the reason. A still WebP by the encoder libwebp is read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np


def write(path, encoder, count):
    with av.open(path, "w", format="webp") as output:
        stream = output.add_stream(encoder, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50 * number, np.uint8), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


write("animated.webp", "libwebp_anim", 3)
content = open("animated.webp", "rb").read()
assert (content.count(b"ANIM"), content.count(b"ANMF")) == (1, 3)
with av.open("animated.webp") as container:
    stream = container.streams.video[0]
    print("animated:", stream)
    assert (stream.width, stream.height) == (0, 0)
    try:
        next(container.decode(stream))
    except av.error.InvalidDataError as error:
        print("animated:", error)
    else:
        raise SystemExit("animated WebP is decoded now")

write("still.webp", "libwebp", 1)
with av.open("still.webp") as container:
    frame = next(container.decode(video=0))
    print("still:", frame.width, frame.height)
    assert (frame.width, frame.height) == (64, 48)
PYTHON
