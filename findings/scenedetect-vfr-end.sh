#!/usr/bin/env bash
# PySceneDetect 0.7.2 with OpenCV 5.0.0.93 (its default reader): the last scene of uneven frame times ends after the video does.
#
# A Matroska video shows 50 frames at 25 frames/s, then 50 at 50 frames/s: 3 s. PySceneDetect finds the cut where it is, at
# 2.000 s, as it reads the frames' timestamps. The end of the last scene comes from the number of frames and one frame rate
# instead: 4.000 s, a second after the last frame. The same frames in MP4, whose average rate is stored otherwise, end at
# 3.060 s, and with the PyAV reader at 3.000 and 3.020 s. Expected: the end of the last frame. Software that cuts a soundtrack
# by scenes, or divides work by them, asks for a second that does not exist.
# Our guard: cuts are kept as numbers of decoded frames, and the last shot ends with the last of them (lipsync.faces.cuts).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scenedetect==0.7.2 opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np
import scenedetect

CLOCK = Fraction(1, 1000)
av.logging.set_level(av.logging.ERROR)


def write(path):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = stream.time_base = CLOCK
        time = 0
        for number in range(100):
            gray = 40 if number < 50 else 200
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), gray, np.uint8), format="yuv420p")
            frame.pts, frame.time_base = time, CLOCK
            time += 40 if number < 50 else 20
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


seen = {}
for path in ("uneven.mkv", "uneven.mp4"):
    write(path)
    with av.open(path) as container:
        last = max(float(frame.time) for frame in container.decode(video=0))
    assert abs(last - 2.98) < 0.002, last
    for backend in ("opencv", "pyav"):
        manager = scenedetect.SceneManager()
        manager.add_detector(scenedetect.ContentDetector(min_scene_len=3))
        manager.detect_scenes(scenedetect.open_video(path, backend=backend))
        (_, cut), (_, end) = manager.get_scene_list()
        seen[path, backend] = (cut.get_timecode(), end.get_timecode())
        print(f"{path} read by {backend}: last frame at {last:.2f} s, cut at {cut}, last scene ends at {end}")
assert all(cut == "00:00:02.000" for cut, _ in seen.values()), seen
ends = {key: end for key, (_, end) in seen.items()}
assert ends["uneven.mkv", "opencv"] == "00:00:04.000", ends
assert ends["uneven.mp4", "opencv"] == "00:00:03.060", ends
assert ends["uneven.mkv", "pyav"] == "00:00:03.020" and ends["uneven.mp4", "pyav"] == "00:00:03.000", ends
PYTHON
