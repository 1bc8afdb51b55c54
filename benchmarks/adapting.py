"""Measure how much adapting to a person improves the predicted motion, before rendering.

    python benchmarks/adapting.py CLIPS [--others FOLDER...] [--draws COUNT]

CLIPS holds short clips of one person who talks. A third of them is held out. The others, in random order, are footage
to learn from: 15 seconds, then 60. Printed are Pearson's r of opening and width in the held-out clips, driven by their
own voice and by the same voice with another pitch and vocal tract (played faster and slower, against the equally faster
and slower picture). Then clips get the sound of another clip of the same person, of clips in --others, and their own
sound shifted: nothing may be learnt from these.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.closing import closed_mouth
from lipsync.engines.rewrite.mesh_reader import MeshReader, measures_of
from lipsync.engines.rewrite.speaker import mesh_rows
from lipsync.faces.geometry import LEFT_CORNER, RIGHT_CORNER, opening
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import audio_of, probe_video
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.track import track_reference
from lipsync.speech.adaptation import Adaptation, HeardRows
from lipsync.speech.agreement import TalkingRows
from lipsync.speech.learning import learn
from lipsync.speech.motion import NETWORK_RATE
from lipsync.speech.personal_motion import PersonalMotion
from lipsync.types import Float32

SPEEDS = (Fraction(17, 20), Fraction(20, 17))  # of the voice that counts as another one
SHIFTS = (-10, -7, -5, 5, 7, 10)  # rows


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A clip: its ``rows``, what is ``heard``, ``sound`` (n,), ``closed`` mouth (468, 3), true ``measures`` (n, 2)."""

    rows: TalkingRows
    heard: HeardRows
    sound: Float32
    closed: Float32
    measures: NDArray[np.float64]


def read_clips(folder: Path, motion: PersonalMotion, sessions: SessionCache) -> Iterator[Spoken]:
    for path in sorted(folder.glob("*.mp4")):
        clip = probe_video(path)
        seconds = clip.video.duration
        with ExitStack() as stack:
            faces = SmoothedFaces(
                stack.enter_context(
                    track_reference(clip, ceil(seconds * clip.video.rate), "largest", sessions, Monitor())
                )
            )
            speech = stack.enter_context(decode_speech(clip, allow_clipped=True))
            sound = np.concatenate(list(speech.blocks(audio_of(clip).start - clip.video.start)))
            meshes, seen = mesh_rows(faces, int(seconds * NETWORK_RATE))
        heard = motion.hear(iter([sound]), len(meshes))
        closed = closed_mouth(meshes[seen], motion.basis)
        tracked = MeshReader(motion.basis, closed).measure(meshes)
        rows = TalkingRows(heard.predicted, heard.features, tracked, seen)
        yield Spoken(rows, heard, sound, closed, measured(meshes))


def measured(meshes: Float32) -> NDArray[np.float64]:
    """Opening and width (n, 2) of meshes."""
    wide = np.linalg.norm(meshes[:, LEFT_CORNER] - meshes[:, RIGHT_CORNER], axis=-1)
    return np.stack([opening(meshes), wide], 1).astype(np.float64)


def joined(clips: Sequence[Spoken]) -> TalkingRows:
    """One long clip."""
    parts = zip(*((c.rows.predicted, c.rows.features, c.rows.tracked, c.rows.seen) for c in clips), strict=True)
    return TalkingRows(*(np.concatenate(part) for part in parts))


def with_sound(picture: TalkingRows, sound: TalkingRows) -> TalkingRows:
    count = min(len(picture.seen), len(sound.seen))
    return TalkingRows(sound.predicted[:count], sound.features[:count], picture.tracked[:count], picture.seen[:count])


class Bench:
    """Scores of adaptations. ``results`` are r of opening and width, and their spread against the truth's."""

    def __init__(self, motion: PersonalMotion) -> None:
        self.motion, self.mouth = motion, measures_of(motion.basis)

    def learn(self, footage: TalkingRows) -> Adaptation | None:
        return learn([footage], self.mouth)

    def score(
        self, adaptation: Adaptation | None, clips: Sequence[Spoken], speed: Fraction = Fraction(1)
    ) -> list[float]:
        scores = []
        for clip in clips:
            heard, truth = self._driven(clip, speed)
            rows = heard.predicted if adaptation is None else adaptation.apply(heard)
            ours = measured(clip.closed + self.motion.basis.displacement(rows))
            r = [np.corrcoef(ours[:, k], truth[:, k])[0, 1] for k in range(2)]
            scores.append([*r, *ours.std(0), *truth.std(0)])
        mean = np.mean(scores, 0)
        return [mean[0], mean[1], mean[2] / mean[4], mean[3] / mean[5]]

    def _driven(self, clip: Spoken, speed: Fraction) -> tuple[HeardRows, NDArray[np.float64]]:
        if speed == 1:
            return clip.heard, clip.measures
        sound = np.interp(np.arange(0, len(clip.sound), float(speed)), np.arange(len(clip.sound)), clip.sound)
        at = np.arange(0, len(clip.measures), float(speed))
        truth = np.stack([np.interp(at, np.arange(len(clip.measures)), one) for one in clip.measures.T], 1)
        return self.motion.hear(iter([sound.astype(np.float32)]), len(truth)), truth


def line(name: str, scores: Sequence[Sequence[float]]) -> str:
    return f"{name:32s}" + "".join(f"{value:9.3f}" for value in np.mean(scores, 0))


def mismatches(
    bench: Bench, clips: Sequence[Spoken], others: Sequence[Spoken], count: int
) -> Iterator[tuple[str, int, int]]:
    """The number of tries, and of adaptations, from sound that does not belong to the picture of ``count`` clips."""
    order = np.random.default_rng(0).permutation(len(clips))
    picture = joined([clips[k] for k in order[:count]])
    wrong = {
        "another clip of the person": _turned([clips[k] for k in order[count:]]),
        "another person": _turned(others),
    }
    for name, sounds in wrong.items():
        adapted = sum(bench.learn(with_sound(picture, joined(sound))) is not None for sound in sounds)
        yield name, len(sounds), adapted
    yield "shifted", len(SHIFTS), sum(bench.learn(shifted(picture, by)) is not None for by in SHIFTS)


def _turned(clips: Sequence[Spoken]) -> list[list[Spoken]]:
    """The clips in order, beginning with each of them in turn."""
    return [[*clips[k:], *clips[:k]] for k in range(len(clips))]


def shifted(rows: TalkingRows, by: int) -> TalkingRows:
    return replace(rows, predicted=np.roll(rows.predicted, by, 0), features=np.roll(rows.features, by, 0))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--draws", type=int, default=8)
    options = parser.parse_args()
    sessions = SessionCache()
    bench = Bench(PersonalMotion.open(sessions))
    clips = list(read_clips(options.clips, bench.motion, sessions))
    rng = np.random.default_rng(1)
    third = len(clips) // 3
    seconds = np.mean([len(clip.rows.seen) for clip in clips]) / NETWORK_RATE
    print(f"{'':32s}" + "".join(f"{name:>9s}" for name in ("opening", "width", "spread o", "spread w")))
    rows: dict[str, list[list[float]]] = {}
    for _ in range(options.draws):
        order = rng.permutation(len(clips))
        held = [clips[k] for k in order[:third]]
        for amount in (0, 15, 60):
            known = [clips[k] for k in order[third:]][: round(amount / seconds)]
            adaptation = bench.learn(joined(known)) if known else None
            rows.setdefault(f"{amount} s, own voice", []).append(bench.score(adaptation, held))
            other = [bench.score(adaptation, held[:4], speed) for speed in SPEEDS]
            rows.setdefault(f"{amount} s, other voice", []).append(np.mean(other, 0).tolist())
    for name, scores in rows.items():
        print(line(name, scores), flush=True)
    others = [clip for folder in options.others for clip in read_clips(folder, bench.motion, sessions)]
    for count in (2, 5, 20):
        for name, tried, adapted in mismatches(bench, clips, others, count) if count < len(clips) else ():
            print(f"{name}, {count * seconds:.0f} s: {adapted} of {tried} adapted", flush=True)


if __name__ == "__main__":
    main()
