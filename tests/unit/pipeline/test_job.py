from __future__ import annotations

from pathlib import Path

from lipsync.pipeline.job import Job


def test_one_engine_writes_the_output_and_several_add_their_names():
    assert Job(Path("a"), Path("b"), Path("x/c.d.mp4")).outputs == (Path("x/c.d.mp4"),)
    both = Job(Path("a"), Path("b"), Path("x/c.d.mp4"), engines=("wav2lip", "wav2lip-gan"))
    assert both.outputs == (Path("x/c.d-wav2lip.mp4"), Path("x/c.d-wav2lip-gan.mp4"))
