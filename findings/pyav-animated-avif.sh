#!/usr/bin/env bash
# Pillow 13.0.0 and PyAV 18.1.0: of an animated AVIF, decode(video=0) gives one picture.
#
# Pillow writes a valid animation: a still picture for readers without animation, then a track with the frames, and one more
# of each for transparency. In FFmpeg these are separate streams, the still first: stream 0 ends after one frame, without a
# sign that there are more. Transparency is a grey stream of its own, and the colours decode as if opaque. The format's name
# is that of MP4, as for any video. Expected: the animation as the first stream. streams.best("video") finds it.
# Our guard: a stream of one frame is not taken while there is a longer one (lipsync.media.probe).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 av==18.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
from PIL import Image

COUNT = 4
seen = {}
for mode, alpha in (("RGB", ()), ("RGBA", (128,))):
    pictures = [Image.new(mode, (64, 48), (60 * number, 40, 20, *alpha)) for number in range(COUNT)]
    path = f"{mode}.avif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    with Image.open(path) as picture:
        assert (picture.n_frames, picture.mode) == (COUNT, mode)
    streams = []
    with av.open(path) as container:
        count, best, name = len(container.streams.video), container.streams.best("video").index, container.format.name
    for index in range(count):
        with av.open(path) as container:
            frames = list(container.decode(video=index))
            streams.append((len(frames), frames[0].format.name))
    print(f"{path}: Pillow {COUNT} frames; PyAV's streams {streams}, best {best}, format {name}")
    seen[mode] = (streams, best)
assert seen == {
    "RGB": ([(1, "yuv420p"), (COUNT, "yuv420p")], 1),
    "RGBA": ([(1, "yuv420p"), (1, "gray"), (COUNT, "yuv420p"), (COUNT, "gray")], 2),
}
PYTHON
