"""A task's options and the job built from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lipsync.errors import OptionInvalid
from lipsync.pipeline.build_job import build_job
from lipsync.pipeline.job import Job
from lipsync.tasks.options import DEFAULTS, check_options, job_of

INPUTS = {"video": Path("v"), "audio": Path("a")}


def test_missing_options_have_their_defaults(waiting, tmp_path):
    bare, full = (waiting(options=options) for options in ({}, DEFAULTS))
    jobs = [job_of(task, INPUTS, tmp_path, None, None) for task in (bare, full)]
    assert jobs[0] == jobs[1] == Job(Path("v"), Path("a"), tmp_path / "result.mp4", engines=("passthrough",))


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"fidelity": "x"},
        {"fidelity": 2},
        {"crf": "a"},
        {"encode": "vhs"},
        {"encode": []},
        {"offset_copies": ["a"]},
        {"offset_copies": 3},
        {"offset_copies": [0]},
        {"enhance": 5},
        {"enhance": "photoshop"},
        {"upscale": 2},
        {"upscale": "2:paint"},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(OptionInvalid):
        check_options(options)


def test_engines_and_options_that_exclude_each_other_are_refused():
    check_options({"original": True}, ["wav2lip"])
    with pytest.raises(OptionInvalid, match="original"):
        check_options({"original": True}, ["wav2lip", "rewrite"])


def test_every_option_of_a_task_reaches_its_job(waiting, tmp_path):
    values = {
        "photo_rate": 50, "allow_clipped": True, "av_offset": 40, "resize_factor": 2, "face_select": "left",
        "original": True, "detail": 0.5, "liveliness": 0.2, "encode": "prores", "codec": "libx265", "crf": 30,
        "preset": "slow", "enhance": "codeformer:0.4", "fidelity": 0.1, "upscale": "2:lanczos", "offset_copies": [80],
        "adapt": "off", "background": "#00b140", "allow_truncated": True,
    }  # fmt: skip
    assert set(values) == set(DEFAULTS)
    task = waiting(engines=("wav2lip",), options=values)
    job = job_of(task, INPUTS, tmp_path, Path("models"), 9.0)
    same = build_job(
        Path("v"), Path("a"), tmp_path / "result.mov", engine="wav2lip", models_dir=Path("models"), **values
    )
    assert job == replace(same, enhancement=replace(same.enhancement, seconds=9.0, required=False))


def test_a_reference_reaches_the_job(waiting, tmp_path):
    job = job_of(waiting(options={}), INPUTS | {"reference": Path("r")}, tmp_path, None, None)
    assert job.reference == Path("r")
