#!/usr/bin/env bash
# soundfile 0.14.0 and pydub 0.25.1: float samples of a WAVE_FORMAT_EXTENSIBLE file become 32-bit integers.
#
# soundfile writes WAVEX with the subtype FLOAT correctly: the subformat in the fmt chunk says IEEE float. pydub takes every
# extensible file for integer PCM without reading the subformat, so the bits of the floats become sample values: a constant
# 0.25 reads as 0.488, 0.125 as 0.484. No error is raised. Expected: the same values, or an error.
# Our guard: audio is decoded by PyAV, which reads the subformat (lipsync.media.audio_reader).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 pydub==0.25.1 av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import av
import numpy as np
import soundfile
from pydub import AudioSegment

LEVELS = (0.25, 0.125, -0.25)
seen = {}
for level in LEVELS:
    soundfile.write("speech.wav", np.full(1600, level, np.float32), 16_000, format="WAVEX", subtype="FLOAT")
    segment = AudioSegment.from_file("speech.wav", format="wav")
    with av.open("speech.wav") as container:
        frame = next(container.decode(audio=0))
    as_float = segment.get_array_of_samples()[0] / 2**31
    seen[level] = round(as_float, 3)
    by_pyav, by_soundfile = frame.to_ndarray().flat[0], soundfile.read("speech.wav")[0][0]
    print(f"written {level}; PyAV {by_pyav}; soundfile {by_soundfile}; pydub {as_float:.3f}")
    assert by_pyav == by_soundfile == level
expected = {level: round(int(np.float32(level).view(np.int32)) / 2**31, 3) for level in LEVELS}
assert seen == expected and seen[0.25] == 0.488, expected
PYTHON
