#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): audio decoded from an MP4 is longer than the file says, by the codec's padding at its end.
#
# One second of audio is encoded and muxed. The edit list and the stream's duration say exactly 1.000 s, and the priming at the
# start is left out as they ask. The padding at the end is decoded: 128 samples of AAC at 48 kHz, 956 at 44.1 kHz, 648 of Opus.
# The same Opus in Ogg or WebM, and the same MP3 in its own file, have every sample and no more. At 25 frames/s, 22 ms of padding
# make a 26th frame. Expected: the samples that the edit list shows, as at the start.
# Our guard: samples after the stated end are cut (lipsync.media.audio_placement).
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


def write(path, codec, rate):
    with av.open(path, "w") as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        wave = 0.3 * np.sin(np.arange(rate, dtype=np.float32) / 20)
        sound = av.AudioFrame.from_ndarray(wave[None], "flt", "mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, 0, Fraction(1, rate)
        converter = av.AudioResampler(stream.codec_context.format, "mono", rate)
        for frame in (*converter.resample(sound), *converter.resample(None)):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def padding(path, rate):
    with av.open(path) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        stated = stream.duration * stream.time_base if stream.duration else None
    return stated, frames[0].time, sum(frame.samples for frame in frames) - rate


CASES = {
    ("aac.mp4", "aac", 48_000): 128,
    ("aac.m4a", "aac", 44_100): 956,
    ("opus.mp4", "libopus", 48_000): 648,
    ("opus.webm", "libopus", 48_000): 0,
    ("opus.ogg", "libopus", 48_000): 0,
    ("mp3.mp3", "libmp3lame", 44_100): 0,
}
for (path, codec, rate), expected in CASES.items():
    write(path, codec, rate)
    stated, start, excess = padding(path, rate)
    print(f"{path}: {rate} samples written, duration stated {stated}, {excess} samples too many")
    assert excess == expected, (path, excess)
    if path.endswith(("mp4", "m4a")):
        assert stated == 1 and start == 0, (stated, start)
PYTHON
