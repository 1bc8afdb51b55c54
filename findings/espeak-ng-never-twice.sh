#!/usr/bin/env bash
# eSpeak NG (espeakng-loader 0.2.4): in one process, the same text is never the same audio twice.
#
# Each synthesis of a sentence with the same voice and settings gives other samples and another length, a millisecond more or
# less; espeak_Terminate and espeak_Initialize do not restart the sequence. A new process repeats it from its beginning. So a
# cache by content, or a test that synthesises twice and compares, fails, while a single synthesis per process seems exact.
# Expected: the same samples for the same text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check espeakng-loader==0.2.4
cd "$folder"
cat > speak.py <<'PYTHON'
import ctypes
import hashlib

import espeakng_loader

SYNCHRONOUS, UTF8 = 2, 1
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
library = ctypes.CDLL(espeakng_loader.get_library_path())
blocks = []


@Callback
def collect(samples, count, events):
    if samples and count:
        blocks.append(ctypes.string_at(samples, 2 * count))
    return 0


def start():
    assert library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0) == 22_050
    library.espeak_SetSynthCallback(collect)
    assert library.espeak_SetVoiceByName(b"en") == 0


def speak(text):
    blocks.clear()
    content = text.encode() + b"\0"
    assert library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, UTF8, None, None) == 0
    library.espeak_Synchronize()
    audio = b"".join(blocks)
    return len(audio) // 2, hashlib.sha256(audio).hexdigest()[:8]


start()
takes = [speak("My mama made a map.") for _ in range(3)]
library.espeak_Terminate()
start()
takes.append(speak("My mama made a map."))
assert len(set(takes)) == 4, takes
assert max(takes)[0] - min(takes)[0] < 50  # samples
print(*takes)
PYTHON
first=$(venv/bin/python speak.py)
second=$(venv/bin/python speak.py)
echo "samples and checksum of four syntheses: $first"
echo "in a second process:                    $second"
[ "$first" = "$second" ]
