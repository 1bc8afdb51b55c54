#!/usr/bin/env bash
# decord 0.6.0: frames of a video that is rotated on playback have the wrong shape and pixels.
#
# Phones record upright video as landscape frames and a rotation by 90 degrees in the track header. Of such a video,
# VideoReader[0] has the shape (height, width, 4) instead of (height, width, 3). The bytes are those of three channels, read as
# four, so that colours shift from pixel to pixel, and the last quarter is not video. get_batch() raises DECORDError for the
# same file, because the sizes do not match. Without the rotation, the same stream is right. Expected: (height, width, 3).
# Our guard: PyAV decodes videos, and frames are rotated afterwards (lipsync.media.reader).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check decord==0.6.0 av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct
from pathlib import Path

import av
import decord
import numpy as np

WIDTH, HEIGHT = 64, 48
with av.open("landscape.mp4", "w") as output:
    stream = output.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    for number in range(3):
        frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), (200, 100, 30), np.uint8), "rgb24")
        frame.pts = number
        output.mux(stream.encode(frame.reformat(format="yuv420p")))
    output.mux(stream.encode(None))


def matrix(a, b, c, d):
    return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)


content = Path("landscape.mp4").read_bytes()
track = content.index(b"tkhd")  # the movie header before it holds such a matrix too
Path("upright.mp4").write_bytes(content[:track] + content[track:].replace(matrix(1, 0, 0, 1), matrix(0, 1, -1, 0), 1))

seen = {}
for path in ("landscape.mp4", "upright.mp4"):
    with av.open(path) as container:
        rotation = next(container.decode(video=0)).rotation
    reader = decord.VideoReader(path)
    first = reader[0].asnumpy()
    try:
        batch = reader.get_batch([0, 1]).asnumpy().shape
    except decord.DECORDError as error:
        batch = str(error).partition("Check failed: ")[2]
    print(f"{path}: rotation {rotation}, shape {first.shape}, first pixels {first[0, :3].tolist()}, get_batch {batch}")
    seen[path] = (first.shape, bool((np.ptp(first, axis=(0, 1)) < 8).all()))
    if path == "upright.mp4":
        assert rotation == -90 and batch.startswith("from_size == to_size (12288 vs. 9216)")
assert seen == {"landscape.mp4": ((HEIGHT, WIDTH, 3), True), "upright.mp4": ((WIDTH, HEIGHT, 4), False)}, seen
PYTHON
