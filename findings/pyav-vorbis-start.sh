#!/usr/bin/env bash
# soundfile 0.14.0 and PyAV 18.1.0: Ogg Vorbis by libsndfile gets timestamps up to 16 ms late, and loses its end.
#
# The decoder uses the first Vorbis block, 128 or 256 samples, only to prime the next one. PyAV's first frame nevertheless has
# the timestamp 128 or 256 instead of 0, while its first sample is the first one written. As the end is cut by time, the last
# 128 or 256 samples never come: 16 ms at 16 kHz. soundfile reads all samples back, in place. Expected: timestamps from 0 and
# every sample. Audio that is placed by timestamps is late by that amount against the video.
# Our guard: audio alone begins with its first sample, whatever its timestamp (lipsync.media.audio_probe).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np
import soundfile

seen = {}
for rate in (16_000, 48_000):
    click = rate // 2
    samples = np.zeros(rate, np.float32)
    samples[click] = 0.9
    soundfile.write("speech.ogg", samples, rate, format="OGG", subtype="VORBIS")
    back = soundfile.read("speech.ogg")[0]
    assert len(back) == rate and np.argmax(np.abs(back)) == click
    with av.open("speech.ogg") as container:
        frames = list(container.decode(audio=0))
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert np.argmax(np.abs(decoded)) == click
    first, missing = frames[0].pts, rate - len(decoded)
    assert frames[0].time_base.denominator == rate
    print(f"{rate} Hz: first timestamp {first} samples ({1000 * first / rate:.1f} ms), {missing} samples missing at the end")
    seen[rate] = (first, missing)
assert seen == {16_000: (256, 256), 48_000: (128, 128)}, seen
PYTHON
