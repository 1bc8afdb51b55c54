#!/usr/bin/env bash
# PyAV 18.1.0: VideoFrame.from_numpy_buffer drops rows and mixes up planes of yuv420p pictures whose height is not a
# multiple of 4.
#
# An array of (height * 3 / 2, width) is the layout of yuv420p that from_ndarray takes, and yuv420p allows every even height. With a
# height of 10 or 14, the frame is two rows shorter, U begins with the last rows of Y, and V holds rows of U. No error is
# raised. from_ndarray copies the same arrays correctly.
# Our guard: frames of such heights are copied (lipsync.media.video_frames.frame_of).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np


def planes(frame):
    return [
        sorted(set(np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width].ravel().tolist()))
        for plane in frame.planes
    ]


def layout(height, width=16):
    samples = np.empty(height * width * 3 // 2, np.uint8)
    luma, chroma = height * width, height * width // 4
    samples[:luma], samples[luma : luma + chroma], samples[luma + chroma :] = 50, 100, 200
    return samples.reshape(height * 3 // 2, width)


seen = {}
for height in (8, 10, 12, 14, 16):
    frame = av.VideoFrame.from_numpy_buffer(layout(height), "yuv420p")
    seen[height] = (frame.height, planes(frame))
    print(f"height {height}: frame.height {frame.height}, values of Y, U, V {planes(frame)}")
right = [[50], [100], [200]]
assert seen == {
    8: (8, right),
    10: (8, [[50], [50], [100]]),
    12: (12, right),
    14: (12, [[50], [50, 100], [100, 200]]),
    16: (16, right),
}
copied = av.VideoFrame.from_ndarray(layout(10), "yuv420p")
assert (copied.height, planes(copied)) == (10, right)
PYTHON
