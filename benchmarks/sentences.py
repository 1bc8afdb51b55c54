"""Shared by the benchmarks: sentences rich in p, b and m, spoken by eSpeak NG, with the time of every phoneme."""

from __future__ import annotations

import ctypes
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

SENTENCES = {
    "en-us+m3": "Bob may buy a map. My mum put a big bumpy lamp by the lobby.",
    "en-gb-x-rp+f2": "Please bring me a cup of plum jam, maybe a simple pebble. Amber jumped up and clapped.",
    "en-gb-scotland+m2": "People climb above the harbour to mark the problem. I hope somebody remembers the map.",
    "en-us+f4": "The baby played with a rubber ball. A lump of lime bobbed past my private beach.",
    "de+m1": "Mama backt am Abend Brot. Paul kam im Mai aus Bamberg und blieb bei Petra.",
    "fr+f3": "Papa porte le beau pain blanc. Ma mère aime beaucoup la pomme.",
    "es+m4": "Mi mamá compra pan y mantequilla. El bebé bebe un poco de sopa con su papá.",
}
BILABIALS = frozenset("pbm")
OPEN_VOWELS = frozenset("aɑɐæʌɔɒeɛəoɜ")  # close vowels need hardly part the lips
PAUSE = 0.35  # seconds between two voices
RETRIEVAL, PHONEME_EVENTS, IPA = 1, 1, 2  # AUDIO_OUTPUT_RETRIEVAL and options of espeak_Initialize
UTF8 = 1
LIST_END, PHONEME = 0, 7  # event types


@dataclass(frozen=True, slots=True)
class Phoneme:
    """``name``: in IPA; ``start`` and ``stop`` in seconds."""

    name: str
    start: float
    stop: float

    @property
    def bilabial(self) -> bool:
        return self.name[:1] in BILABIALS

    @property
    def open_vowel(self) -> bool:
        return self.name[:1] in OPEN_VOWELS


class _Id(ctypes.Union):
    _fields_: ClassVar = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; ``audio_position`` in milliseconds."""

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)  # espeak_SetSynthCallback


def write_sentences(path: Path, library: str = "libespeak-ng.so.1", voices: int | None = None) -> list[Phoneme]:
    """Write the sentences of the first ``voices`` as mono WAV; returns all their phonemes."""
    espeak = ctypes.CDLL(library)
    rate = espeak.espeak_Initialize(RETRIEVAL, 0, None, PHONEME_EVENTS | IPA)
    sound: list[np.ndarray] = []
    phonemes: list[Phoneme] = []
    length = 0.0
    for voice, text in list(SENTENCES.items())[:voices]:
        samples, spoken = _spoken(espeak, voice, text)
        phonemes += [Phoneme(p.name, p.start + length, p.stop + length) for p in spoken]
        sound += [samples, np.zeros(round(PAUSE * rate), np.int16)]
        length += len(samples) / rate + PAUSE
    espeak.espeak_Terminate()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.concatenate(sound).tobytes())
    return phonemes


def _spoken(espeak: ctypes.CDLL, voice: str, text: str) -> tuple[np.ndarray, list[Phoneme]]:
    samples: list[np.ndarray] = []
    marks: list[tuple[str, float]] = []

    def receive(sound, count, events):  # type: ignore[no-untyped-def]
        if sound:
            samples.append(np.ctypeslib.as_array(sound, (count,)).copy())
        number = 0
        while events[number].type != LIST_END:
            if events[number].type == PHONEME:
                name = events[number].id.string.decode("utf-8", "ignore")
                marks.append((name, events[number].audio_position / 1000))
            number += 1
        return 0

    callback = _CALLBACK(receive)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(voice.encode()):
        raise SystemExit(f"eSpeak NG has no voice {voice}")
    content = text.encode()
    espeak.espeak_Synth(content, len(content) + 1, 0, 0, 0, UTF8, None, None)
    espeak.espeak_Synchronize()
    stops = [start for _, start in marks[1:]] + [marks[-1][1]]
    return np.concatenate(samples), [
        Phoneme(name, start, stop) for (name, start), stop in zip(marks, stops, strict=True) if name
    ]
