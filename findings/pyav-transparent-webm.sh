#!/usr/bin/env bash
# PyAV 18.1.0 (libavcodec 62.28): a transparent WebM decodes as opaque, and a copy of its packets is opaque for everyone.
#
# VP9 keeps alpha beside each packet, and browsers show it. container.decode() gives yuv420p with the colours that alpha hides,
# here green, and nothing on the stream's format says so; only its tag ALPHA_MODE does. The decoder libvpx-vp9 of the same wheel
# gives yuva420p from the same packets. add_stream_from_template() copies the packets with their alpha but not the tag, so that
# every player ignores it. Expected: yuva420p from the same wheel that encoded it, and a copy that is transparent.
# Our guard: such streams are decoded by libvpx, and copies get the tag (lipsync.media.decoding, lipsync.media.av_offset).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np

WIDTH, HEIGHT = 64, 48
pixels = np.full((HEIGHT, WIDTH, 4), (200, 200, 200, 255), np.uint8)
pixels[:, : WIDTH // 2] = (0, 255, 0, 0)  # transparent; green is hidden there
with av.open("original.webm", "w") as output:
    stream = output.add_stream("libvpx-vp9", rate=25, options={"auto-alt-ref": "0", "crf": "10", "b": "0"})
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuva420p"
    for number in range(3):
        frame = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format="yuva420p")
        frame.pts = number
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
with av.open("original.webm") as original, av.open("copy.webm", "w") as output:
    stream = output.add_stream_from_template(original.streams.video[0])
    for packet in original.demux(video=0):
        if packet.size:
            packet.stream = stream
            output.mux(packet)

seen = {}
for path in ("original.webm", "copy.webm"):
    with av.open(path) as container:
        tags = {name.lower() for name in container.streams.video[0].metadata}
        by_default = next(container.decode(video=0))
    libvpx = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(path) as container:
        by_libvpx = next(frame for packet in container.demux(video=0) for frame in libvpx.decode(packet))
    red, green, blue = by_default.to_ndarray(format="rgb24")[HEIGHT // 2, 8].tolist()
    alpha = by_libvpx.to_ndarray(format="rgba")[HEIGHT // 2, 8, 3]
    seen[path] = (by_default.format.name, green > 200 > red, by_libvpx.format.name, int(alpha) < 8, "alpha_mode" in tags)
    print(f"{path}: default {by_default.format.name}, hidden pixel {red, green, blue}; libvpx {by_libvpx.format.name}, "
          f"alpha {alpha}; tag alpha_mode {'alpha_mode' in tags}")
assert seen == {
    "original.webm": ("yuv420p", True, "yuva420p", True, True),
    "copy.webm": ("yuv420p", True, "yuva420p", True, False),
}, seen
PYTHON
