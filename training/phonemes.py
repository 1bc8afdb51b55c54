"""Speech of many synthetic voices in several languages, with the time of every phoneme, from eSpeak NG.

It shows when lips must close and when they must be open or rounded, in voices that no face belongs to.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from augment import VOCODER_STEP, decibels, level_of
from numpy.typing import NDArray
from scipy.signal import resample_poly

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.encoder import ENCODER_RATE
from lipsync.types import Float32

VARIANTS = (
    "m5", "m6", "m7", "m8", "f1", "f5", "klatt", "klatt2", "klatt3", "klatt4", "Andrea", "Annie", "Alex", "Mario",
    "Michael", "Denis", "Diogo", "Gene", "Jacky", "Lee", "Steph", "Storm", "Tweaky", "Zac", "anika", "belinda",
    "linda", "michel", "pablo", "robert", "rob", "steph2", "victor", "quincy", "max", "iven", "ed", "caleb", "benjamin",
)  # fmt: skip
WORDS: Final = {
    "en-us": "paper number simple table member people open remember apple cabin maple proper hamper rabbit somebody "
    "happy empty common baby public complete company map cup room club team home time problem moment summer carry "
    "water follow yellow teacher garden letter window going today shoe food moon cool road goat saw all thought far "
    "father heart about under other cat hat man bad see three need eat light right night how town boy noise",
    "en-gb-x-rp": "spoon combine pepper tempo robber number umbrella appear become possible impossible farm warm jump "
    "bump stamp member ribbon carpet harbour market bottom mumble tumble cabbage lap tap lamb thumb dream steam steady "
    "later either ready window village colour silver early journey fear there sure pure new few blue true good book",
    "en-gb-scotland": "bread butter morning evening mountain paper blanket pencil sample temper humble noble "
    "marble purple problem symbol bamboo tomato pyjamas maybe lovely river valley kettle weather great house",
    "de": "Mutter Blume Papier Abend lieben geben kommen Hammer Sommer Lampe Puppe Suppe Baum Boden immer Kopf Topf "
    "haben leben oben Auto schnell gehen Schule Zeit Straße schön grün Tür Hund Katze Wasser Vater Sonne Wolke Himmel",
    "fr": "bonjour maman papa pomme lampe jambe table possible problème simple beau petit moment maison chambre "
    "nombre aimer appeler rue lune tout vous deux feu jour soleil chat enfant blanc vent pain main long rond eau",
    "es": "madre padre pueblo bueno hombre nombre tiempo siempre campo cambio trabajo amigo mapa papel boca cabeza "
    "mesa luna sol casa grande verde agua calle ciudad noche leche rojo azul uno dos tres cuatro gato perro",
    "it": "bambino mamma papà problema tempo campo bello buono pomodoro libro amico mare monte ponte sempre notte "
    "giorno casa strada luce acqua vino uovo uomo donna cielo terra fuoco gatto cane scuola",
    "pt-br": "bom mãe pai problema tempo sempre campo amigo mapa papel boca cabeça mesa lua sol casa grande verde "
    "água rua cidade noite leite azul tudo muito gato boi livro lápis",
    "nl": "moeder boom papier avond komen hebben samen zomer lamp soep bloem boek appel kamer water vader zon maan "
    "huis tuin straat groen rood goed groot klein kat hond fiets school tijd",
    "pl": "mama papier lampa zupa chleb obiad pomoc brama miasto woda dom ulica kot pies szkoła czas noc dzień "
    "zielony czerwony dobry mały duży okno ręka głowa",
    "ru": "мама папа лампа суп хлеб обед помощь бумага море вода дом улица кот собака школа время ночь день "
    "зелёный красный хороший маленький большой окно рука голова",
    "tr": "baba bebek kapı araba masa elma ekmek akşam sabah büyük küçük yeşil mavi su ev okul zaman gece gün göz kol",
}
BILABIALS = frozenset("pbm")
OPEN_VOWELS = frozenset("aɑɐæʌɔɒɛ")
ROUNDED = frozenset("uʊwyøœoɔ")
VOWELS = OPEN_VOWELS | ROUNDED - {"w"} | frozenset("eiɪɜəɨ")
CLOSURE_LEAD: Final = 0.01  # seconds by which the lips meet before the sound of p, b and m changes
HOP: Final = SPEECH_RATE // ENCODER_RATE  # samples per row
SILENT: Final = decibels(-40)  # the level, of the voice's, below which it is silent
PAUSE: Final = 8  # rows of silence; the gaps in p, t and k are shorter
LONGEST_GAP: Final = 5  # rows of silence before p that count as closed
REST_DELAY, REST_FADE = 0.08, 0.08  # seconds from the voice to where rest begins to be asked, and until it fully is
_RETRIEVAL, _PHONEME_EVENTS, _IPA, _UTF8 = 1, 1, 2, 1  # constants of speak_lib.h
_LIST_END, _PHONEME, _RATE, _PITCH, _RANGE = 0, 7, 1, 3, 4


@dataclass(frozen=True, slots=True)
class Phoneme:
    """``name`` in IPA; ``start`` and ``stop`` in seconds."""

    name: str
    start: float
    stop: float


class _Id(ctypes.Union):
    _fields_: ClassVar = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesiser:
    """eSpeak NG in this process, one at a time; a context manager. Raises OSError if its library is not installed."""

    def __init__(self, library: str = "libespeak-ng.so.1") -> None:
        self._library: Any = ctypes.CDLL(library)
        self._rate = self._library.espeak_Initialize(_RETRIEVAL, 0, None, _PHONEME_EVENTS | _IPA)
        self._samples: list[Any] = []
        self._marks: list[tuple[str, float]] = []
        self._callback = _CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.espeak_Terminate()

    def speak(self, voice: str, text: str, speed: int, pitch: int, span: int) -> tuple[Float32, list[Phoneme]]:
        """The sound at 16 kHz and its phonemes. ``speed``: words per minute; ``pitch``, ``span``: 0 to 99.

        Raises ValueError for an unknown voice.
        """
        self._samples, self._marks = [], []
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"eSpeak NG has no voice {voice}")
        for parameter, value in ((_RATE, speed), (_PITCH, pitch), (_RANGE, span)):
            self._library.espeak_SetParameter(parameter, value, 0)
        content = text.encode()
        self._library.espeak_Synth(content, len(content) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._samples).astype(np.float32) / 32768
        common = int(np.gcd(self._rate, SPEECH_RATE))
        sound = resample_poly(samples, SPEECH_RATE // common, self._rate // common)
        stops = [start for _, start in self._marks[1:]] + [len(sound) / SPEECH_RATE]
        phonemes = [Phoneme(name, start, stop) for (name, start), stop in zip(self._marks, stops, strict=True)]
        return np.asarray(sound, np.float32), phonemes

    def speak_all(self, sentences: list[tuple[str, str]], rng: np.random.Generator) -> tuple[Float32, list[Phoneme]]:
        """Several sentences (voice, text) at random speeds and pitches, with pauses; unknown voices are left out."""
        sounds: list[Float32] = []
        phonemes: list[Phoneme] = []
        length = 0
        for voice, text in sentences:
            with suppress(ValueError):
                speed, pitch, span = (int(rng.integers(*limits)) for limits in ((120, 200), (20, 80), (20, 80)))
                sound, spoken = self.speak(voice, text, speed, pitch, span)
                start = length / SPEECH_RATE
                phonemes += [Phoneme(one.name, one.start + start, one.stop + start) for one in spoken]
                sounds += [np.trim_zeros(sound, "b"), np.zeros(rng.integers(1600, 19200), np.float32)]
                length += sum(map(len, sounds[-2:]))
        return np.concatenate(sounds), phonemes

    def _receive(self, sound: Any, count: int, events: Any) -> int:
        if sound:
            self._samples.append(np.ctypeslib.as_array(sound, (count,)).copy())
        number = 0
        while events[number].type != _LIST_END:
            if events[number].type == _PHONEME:
                name = events[number].id.string.decode("utf-8", "ignore")
                self._marks.append((name, events[number].audio_position / 1000))
            number += 1
        return 0


def sentences(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Endless random (voice, text): words of one language in one of its synthetic voices."""
    languages = list(WORDS)
    weights = np.array([4.0 if language.startswith("en") else 1.0 for language in languages])
    while True:
        language = str(rng.choice(languages, p=weights / weights.sum()))
        words = rng.choice(WORDS[language].split(), int(rng.integers(5, 12)))
        yield f"{language}+{rng.choice(VARIANTS)}", " ".join(words) + "."


def held_vowels(
    phonemes: list[Phoneme], sound: Float32, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[Phoneme]]:
    """Hold one vowel in four for 0.4 to 3 s: the ``moments`` (n,) to speak, and the phonemes with their new times.

    Moments, one for each VOCODER_STEP, are in seconds of the given sound. The last vowel of a sentence may cover a part
    of the pause after it, which is not held.
    """
    before, after = [0.0], [0.0]
    audible, seconds = 0.3 * level_of(sound), len(sound) / SPEECH_RATE
    for phoneme in phonemes:
        length = phoneme.stop - phoneme.start
        first, last = phoneme.start + 0.35 * length, phoneme.stop - 0.35 * length
        part = sound[int(first * SPEECH_RATE) : int(last * SPEECH_RATE) + 1]
        loud = len(part) and np.sqrt((part**2).mean()) > audible
        if phoneme.name[:1] in VOWELS and loud and rng.random() < 0.25:
            after += [after[-1] + first - before[-1], after[-1] + first - before[-1] + rng.uniform(0.4, 3)]
            before += [first, last]
    after.append(after[-1] + seconds - before[-1])
    before.append(seconds)
    moments = np.interp(np.arange(0, after[-1], VOCODER_STEP), after, before)
    edges = [np.interp((one.start, one.stop), before, after) for one in phonemes]
    later = [Phoneme(one.name, float(edge[0]), float(edge[1])) for one, edge in zip(phonemes, edges, strict=True)]
    return moments, later


def labels(phonemes: list[Phoneme], sound: Float32, rows: int) -> Float32:
    """The demands of each row on the mouth, (rows, 5), 0 to 1: lips closed, apart, wide apart, rounded; mouth at rest.

    Phonemes make the first four, pauses in the sound (n,), which has no noise, the last. Nothing is asked at the edges
    of closures and of pauses. A phoneme lasts until the next: the gap before the burst of p belongs to the one before.
    """
    time = np.arange(rows) / ENCODER_RATE
    silent = _silent(sound, rows)
    asked = np.zeros((rows, 5), np.float32)
    for phoneme in (one for one in phonemes if one.name[:1].isalpha()):
        length, letter = phoneme.stop - phoneme.start, phoneme.name[:1]
        middle = (time > phoneme.start + 0.3 * length) & (time < phoneme.stop - 0.2 * length)
        asked[(time >= phoneme.start) & (time < phoneme.stop), 1] = 1
        asked[middle, 2] = letter in OPEN_VOWELS
        asked[middle, 3] = letter in ROUNDED
    for phoneme in (one for one in phonemes if one.name[:1] in BILABIALS):
        gap = _gap_before(phoneme, silent)
        first = phoneme.start - max(CLOSURE_LEAD, gap)
        last = phoneme.start + 0.01 if gap else max(phoneme.start + 0.03, phoneme.stop - 0.02)
        asked[(time > first - 0.05) & (time < phoneme.stop + 0.06), 1:3] = 0
        asked[(time >= first) & (time < last), 0] = 1
    for start, stop in _pauses(silent):
        inner = np.arange(stop - start) + 0.5
        distance = np.minimum(inner, inner[::-1]) / ENCODER_RATE
        asked[start:stop, 1:4] = 0
        asked[start:stop, 4] = np.clip((distance - REST_DELAY) / REST_FADE, 0, 1)
    return asked


def _pauses(silent: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where silence of at least PAUSE rows starts and stops."""
    edges = np.flatnonzero(np.diff(np.pad(silent.astype(int), 1))).tolist()
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [(start, stop) for start, stop in runs if stop - start >= PAUSE]


def _silent(sound: Float32, rows: int) -> NDArray[np.bool_]:
    steps = sound[: len(sound) // HOP * HOP].reshape(-1, HOP)[:rows]
    silent = (steps**2).mean(1) < (SILENT * level_of(sound)) ** 2
    return np.pad(silent, (0, rows - len(silent)), constant_values=True)


def _gap_before(phoneme: Phoneme, silent: NDArray[np.bool_]) -> float:
    """Seconds of silence that end with the start of a phoneme, at most LONGEST_GAP rows."""
    at = int(phoneme.start * ENCODER_RATE)
    before = silent[max(0, at - LONGEST_GAP) : at][::-1]
    return int(np.argmin(np.append(before, False))) / ENCODER_RATE
