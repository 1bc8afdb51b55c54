"""A face and a voice for a first try, from packages that the ``demo`` extra installs. Nothing is downloaded.

The photo is scikit-image's of astronaut Eileen Collins (NASA, public domain). The voice is espeak-ng's, a separate
program under the GPL that is only ever loaded here.
"""

from __future__ import annotations

import ctypes
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from lipsync.errors import ExtraMissing, LipsyncError

SENTENCE = (
    "Hello! I am a photograph, and a moment ago I could not speak. "
    "Now my mouth follows a voice, on an ordinary computer. What would you like me to say?"
)
HEAD = (0, 90, 400, 360)  # rows and columns of the photo: head and shoulders
ENLARGED = 2
VOICE, SPEED = b"en-us+f3", 150  # words a minute
SYNCHRONOUS, PLAIN_UTF8, RATE_PARAMETER = 2, 1, 1
HINT = 'the demo needs its extra: pip install "lip-sync-service[demo]"'


def write_photo(path: Path) -> None:
    """The astronaut's head and shoulders as a PNG of 800x540 pixels. Raises ExtraMissing."""
    try:
        from skimage import data
    except ImportError as exc:
        raise ExtraMissing(HINT) from exc
    top, left, bottom, right = HEAD[0], HEAD[1], HEAD[2], HEAD[1] + HEAD[3]
    astronaut: Callable[[], NDArray[np.uint8]] = data.astronaut
    photo = np.ascontiguousarray(astronaut()[top:bottom, left:right])
    frame = av.VideoFrame.from_ndarray(photo, format="rgb24")
    large = frame.reformat(frame.width * ENLARGED, frame.height * ENLARGED, format="rgb24", interpolation="LANCZOS")
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = large.width, large.height, "rgb24"
        container.mux(stream.encode(large))
        container.mux(stream.encode(None))


def write_voice(path: Path, text: str) -> None:
    """``text`` spoken by espeak-ng, as a 16-bit mono WAV. Raises ExtraMissing."""
    try:
        import espeakng_loader
    except ImportError as exc:
        raise ExtraMissing(HINT) from exc
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate, samples = _speak(library, Path(espeakng_loader.get_data_path()).parent, text)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)


def _speak(library: ctypes.CDLL, data: Path, text: str) -> tuple[int, bytes]:
    """The samples per second, and the samples: espeak-ng's own C interface (speak_lib.h)."""
    heard = bytearray()
    receive = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def keep(wav: ctypes._Pointer[ctypes.c_short], count: int, events: int) -> int:
        if wav and count > 0:
            heard.extend(ctypes.string_at(wav, count * 2))
        return 0

    callback = receive(keep)
    rate = int(library.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), 0))
    if rate <= 0:
        raise LipsyncError("espeak-ng could not be started")
    try:
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetVoiceByName(VOICE)
        library.espeak_SetParameter(RATE_PARAMETER, SPEED, 0)
        spoken = text.encode()
        library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 0, 0, PLAIN_UTF8, None, None)
        library.espeak_Synchronize()
    finally:
        library.espeak_Terminate()
    return rate, bytes(heard)
