#!/usr/bin/env bash
# mutagen 1.48.1 and tinytag 2.3.2: a second of valid audio lasts 0 seconds.
#
# A fragmented MP4, as browsers record and streaming services deliver it, keeps its durations in the fragments. Both libraries
# read only the empty movie header and report 0.0 without a warning; tinytag also does so for FLAC in Ogg. PyAV, which writes
# the files here, decodes a second from each. Expected: the duration, or None, since limits and bills are based on it.
# Our guard: lengths come from the decoded or demuxed stream (lipsync.media.probe and lipsync.media.audio_reader).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 mutagen==1.48.1 tinytag==2.3.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import mutagen
import numpy as np
import tinytag

RATE = 48_000


def write(path, codec, container_format, options):
    with av.open(path, "w", format=container_format, options=options) as output:
        stream = output.add_stream(codec, rate=RATE, layout="mono")
        if codec == "aac":
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.float32), "fltp", "mono")
        else:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


FILES = {
    "whole.m4a": ("aac", "mp4", {}),
    "fragmented.m4a": ("aac", "mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "flac.ogg": ("flac", "ogg", {}),
}
seen = {}
for path, arguments in FILES.items():
    write(path, *arguments)
    with av.open(path) as container:
        by_pyav = sum(frame.samples for frame in container.decode(audio=0)) / RATE
    lengths = (mutagen.File(path).info.length, tinytag.TinyTag.get(path).duration)
    seen[path] = tuple(round(length, 2) for length in lengths)
    print(f"{path}: PyAV decodes {by_pyav:.2f} s; mutagen {seen[path][0]} s, tinytag {seen[path][1]} s")
    assert 1 <= by_pyav < 1.03
assert seen == {
    "whole.m4a": (1.02, 1.0),
    "fragmented.m4a": (0.0, 0.0),
    "flac.ogg": (1.0, 0.0),
}
PYTHON
