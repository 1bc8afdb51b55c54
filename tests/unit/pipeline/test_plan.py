from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from lipsync.engines.base import EngineOptions
from lipsync.engines.passthrough import Passthrough
from lipsync.engines.wav2lip.original import OriginalWav2Lip
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import probe
from lipsync.pipeline.job import Job
from lipsync.pipeline.plan import plan_frames

RATE = Fraction(25)


def test_the_engine_decides_how_long_the_output_is_and_how_the_video_repeats(voice):
    job = Job(Path("a"), Path("b"), Path("c.mp4"))
    original = OriginalWav2Lip(None, EngineOptions(original=True), 1)
    with decode_speech(probe(voice), allow_clipped=False) as speech:
        ours, theirs = (plan_frames(job, engine, speech, RATE) for engine in (Passthrough(), original))
        still = plan_frames(Job(Path("a"), Path("b"), Path("c.mp4"), static=True), Passthrough(), speech, RATE)
    assert (ours.frame_count, ours.source_limit) == (50, 50)
    assert [ours.source_index(i, 4) for i in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert (theirs.frame_count, theirs.source_limit) == (47, 47)
    assert [theirs.source_index(i, 4) for i in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert (still.frame_count, still.source_limit) == (50, 1)
