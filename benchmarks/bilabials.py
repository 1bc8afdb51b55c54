"""Do the lips close on p, b and m?

    python benchmarks/bilabials.py FACE... [--score SCORE.py] [--score-python PYTHON] [--voices COUNT]
        [--keep FOLDER [--reuse]] [--option=...]

FACE is a video, a photo, or a folder of them. eSpeak NG speaks the sentences of ``sentences.py`` in four languages and
reports the time of every phoneme. Each face is driven by that speech and the result is tracked, by SCORE.py if it is
given. The range is the 5th to the 95th percentile of the result's opening. A phoneme is closed if the smallest opening
within 60 ms of it is at most 12 % of the range above its lower end.

``false``: share of the open vowels whose middle, at least 80 ms away from every p, b and m, is closed as well.
The last two figures are the range in eye distances. --option passes an option to ``lipsync sync``.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from measure import lipsync
from mouths import MouthTrack, add_results, add_scorer, faces_in, track_mouth
from sentences import Phoneme, write_sentences

TOLERANCE = 0.06  # seconds before and after the phoneme
CLEAR_OF_BILABIALS = 0.08  # seconds between the middle of a vowel and a bilabial
FLOOR = 0.80


def smallest_opening(track: MouthTrack, start: float, stop: float) -> float:
    """The smallest opening from ``start`` to ``stop`` in seconds, interpolated at both ends."""
    times = np.arange(len(track.opening)) / track.rate
    inside = track.opening[(times >= start) & (times <= stop)]
    return float(min([*np.interp([start, stop], times, track.opening), *inside]))


def closes(track: MouthTrack, phoneme: Phoneme) -> bool:
    return smallest_opening(track, phoneme.start - TOLERANCE, phoneme.stop + TOLERANCE) <= track.closed_limit


def free_vowels(phonemes: list[Phoneme]) -> list[float]:
    """The middle of every open vowel that is clear of bilabials, in seconds."""
    bilabials = [p for p in phonemes if p.bilabial]
    middles = [(p.start + p.stop) / 2 for p in phonemes if p.open_vowel]
    return [
        t
        for t in middles
        if all(t < b.start - CLEAR_OF_BILABIALS or t > b.stop + CLEAR_OF_BILABIALS for b in bilabials)
    ]


def report(face: Path, track: MouthTrack, bilabials: list[Phoneme], vowels: list[float]) -> tuple[float, float]:
    """Print and return the shares of closed bilabials and of closed vowels."""
    closed = np.array([closes(track, phoneme) for phoneme in bilabials])
    at_vowels = np.interp(vowels, np.arange(len(track.opening)) / track.rate, track.opening)
    false = float(np.mean(at_vowels <= track.closed_limit))
    names = np.array([phoneme.name[:1] for phoneme in bilabials])
    each = " ".join(f"{name} {closed[names == name].mean():4.0%}" for name in "pbm")
    low, high = np.percentile(track.opening, (5, 95))
    print(f"{face.stem:32} {closed.mean():4.0%}   {each}   false {false:3.0%}   {low:.3f}..{high:.3f}", flush=True)
    return float(closed.mean()), false


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("faces", type=Path, nargs="+")
    add_scorer(parser)
    parser.add_argument("--voices", type=int)
    add_results(parser)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder, "sentences.wav")
        phonemes = write_sentences(audio, voices=options.voices)
        bilabials, vowels = [p for p in phonemes if p.bilabial], free_vowels(phonemes)
        print(f"{len(bilabials)} p, b and m; {len(vowels)} open vowels clear of them")
        for face in faces_in(options.faces):
            result = (options.keep or Path(folder)) / f"{face.stem}-bilabials.mp4"
            if not (options.reuse and result.exists()):
                subprocess.run(lipsync(face, audio, result, *options.option), check=True)
            rows.append(report(face, track_mouth(result, options), bilabials, vowels))
    mean = np.mean(rows, axis=0)
    print(f"mean of {len(rows)} faces: closed {mean[0]:.0%} (at least {FLOOR:.0%}), false {mean[1]:.0%}")


if __name__ == "__main__":
    main()
