"""``lipsync demo`` needs nothing but the package."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from lipsync.cli import main
from lipsync.demo import demo_media
from lipsync.media.probe import probe
from lipsync.media.reader import read

EXTRAS = ("skimage", "espeakng_loader", "onnx", "ncnn", "boto3", "celery", "fastapi", "sqlalchemy", "pydantic")


def test_clip_and_voice_stay_below_150_kb():
    with demo_media() as media:
        assert media.clip.stat().st_size + media.voice.stat().st_size < 150_000


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "lipsync-demo"
    assert main(["demo", "-o", str(folder), "--quiet"]) == 0
    return folder


def test_the_demo_writes_its_inputs_the_result_and_a_comparison(written):
    names = {"clip.mp4", "voice.m4a", "result.mp4", "before-after.mp4"}
    assert {file.name for file in written.iterdir()} == names
    clip, result = probe(written / "clip.mp4").video, probe(written / "result.mp4").video
    comparison = probe(written / "before-after.mp4").video
    assert (comparison.width, comparison.height) == (2 * clip.width, clip.height)
    assert result.frame_count == comparison.frame_count == 75


def test_the_comparison_shows_the_clip_left_and_the_result_right(written):
    clip, result, comparison = (
        np.stack([frame.y[100:].astype(np.int16) for frame in read(probe(written / name), stop=40)])
        for name in ("clip.mp4", "result.mp4", "before-after.mp4")
    )
    width = clip.shape[2]
    left, right = comparison[:, :, :width], comparison[:, :, width:]
    changed = np.abs(clip - result) > 30  # the mouth
    assert changed.sum() > 1000
    assert np.abs(left - clip)[changed].mean() < 8 < 30 < np.abs(left - result)[changed].mean()
    assert np.abs(right - result)[changed].mean() < 8 < 30 < np.abs(right - clip)[changed].mean()


def test_the_demo_says_where_its_files_are_and_what_to_try_next(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path / "x"), "--photo"]) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "x/photo-result.mp4") in printed
    assert str(tmp_path / "x/photo-before-after.mp4") in printed
    assert f"lipsync sync --video {tmp_path / 'x/photo.jpg'} --audio {tmp_path / 'x/voice.m4a'}" in printed


def test_json_describes_the_result_alone(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["frames"], described["output"]) == (75, str(tmp_path / "result.mp4"))


def test_no_extra_is_imported(tmp_path):
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in EXTRAS)
    script = (
        f"import sys; {blocked}; from lipsync.cli import main; sys.exit(main(['demo', '-o', sys.argv[1], '--quiet']))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
