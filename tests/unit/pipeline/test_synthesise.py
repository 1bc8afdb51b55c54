from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from lipsync.engines.base import EngineOptions
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.pipeline.job import Job
from lipsync.pipeline.plan import plan
from lipsync.pipeline.synthesise import tee_frames
from lipsync.types import Colour, Frame


def pictures(count: int, read: list[int]):
    for k in range(count):
        read.append(k)
        yield Frame(k, *(np.full(shape, k, np.uint8) for shape in ((8, 8), (4, 4), (4, 4))), 8, Colour())


def test_everybody_gets_every_picture_in_memory_of_their_own():
    read: list[int] = []
    one, other, third = tee_frames(pictures(6, read), 3)
    ahead = list(islice(one, 4))
    for picture in ahead:
        picture.y[:] = 99
    assert read == [0, 1, 2, 3]
    assert [int(p.y[0, 0]) for p in other] == [0, 1, 2, 3, 4, 5]
    assert [int(p.u[0, 0]) for p in third] == [0, 1, 2, 3, 4, 5]
    assert [p.index for p in one] == [4, 5]
    assert read == [0, 1, 2, 3, 4, 5]


def test_one_alone_gets_the_pictures_themselves():
    given = list(pictures(3, []))
    (only,) = tee_frames(iter(given), 1)
    assert all(a is b for a, b in zip(only, given, strict=True))


def test_the_result_lasts_as_long_as_the_sound_or_as_the_original_made_it(voice):
    job = Job(Path("a"), Path("b"), Path("c.mp4"))
    original = Job(Path("a"), Path("b"), Path("c.mp4"), engines=("wav2lip",), options=EngineOptions(original=True))
    with decode_speech(probe(voice), allow_clipped=False) as analyse_audio:
        ours, theirs = (plan(j, analyse_audio, Fraction(25)) for j in (job, original))
        still = plan(Job(Path("a"), Path("b"), Path("c.mp4"), static=True), analyse_audio, Fraction(25))
    assert (ours.frames, ours.limit) == (50, 50)
    assert [ours.shown(i, 4) for i in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert (theirs.frames, theirs.limit) == (47, 47)
    assert [theirs.shown(i, 4) for i in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert (still.frames, still.limit) == (50, 1)


def test_one_engine_writes_the_output_and_several_add_their_names():
    assert Job(Path("a"), Path("b"), Path("x/c.d.mp4")).outputs == (Path("x/c.d.mp4"),)
    both = Job(Path("a"), Path("b"), Path("x/c.d.mp4"), engines=("wav2lip", "wav2lip-gan"))
    assert both.outputs == (Path("x/c.d-wav2lip.mp4"), Path("x/c.d-wav2lip-gan.mp4"))
