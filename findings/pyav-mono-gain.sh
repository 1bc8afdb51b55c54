#!/usr/bin/env bash
# PyAV 18.1.0: mono made of stereo is 3 dB louder, and above full scale, if the output is float.
#
# AudioResampler("s16", "mono", rate) averages left and right: 0.5 + 0.5. With "flt", each side counts 0.707, whatever the
# format of the input. Speech that is equal on both sides comes out 1.41 times as loud, with peaks up to 1.41, and the same
# recording as a mono file does not. Levels, thresholds and log-mel features then depend on the number of channels, and a
# conversion of the result to 16 bits clips. Expected: the same gain for every format, or an option that sets it.
# Our guard: channels are mixed by weights that add up to 1 (lipsync.media.voice_mix).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np

FULL_SCALE = {"s16": 32_767, "s32": 2**31 - 1, "flt": 1.0, "dbl": 1.0}
TYPES = {"s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


def level(source, layout, target):
    """Level of mono audio from a constant 0.9 on every channel."""
    channels = {"mono": 1, "stereo": 2}[layout]
    samples = np.full((1, channels * 4800), 0.9 * FULL_SCALE[source], TYPES[source])
    frame = av.AudioFrame.from_ndarray(samples, source, layout)
    frame.sample_rate = 48_000
    resampler = av.AudioResampler(target, "mono", 48_000)
    blocks = [block.to_ndarray() for block in (*resampler.resample(frame), *resampler.resample(None))]
    return round(float(np.median(np.concatenate(blocks, axis=1))) / FULL_SCALE[target], 3)


for source in FULL_SCALE:
    for target in FULL_SCALE:
        mono, stereo = level(source, "mono", target), level(source, "stereo", target)
        print(f"{source} to {target}: mono {mono}, stereo {stereo}")
        assert (mono, stereo) == (0.9, 1.273 if target in ("flt", "dbl") else 0.9)
PYTHON
