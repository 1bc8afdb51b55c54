"""``lipsync sync`` with enhancement, offset copies and a manifest."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.__main__ import main
from lipsync.enhancers.base import EnhancerOptions
from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.errors import OutOfMemory
from lipsync.frames.difference import changed_box
from lipsync.frames.rgb import BT601, UNSPECIFIED
from lipsync.media.probe import probe, probe_video
from lipsync.media.reader import ping_pong, read
from lipsync.monitor import Monitor
from lipsync.pipeline import postprocess
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.pipeline.job import Enhancement, Job
from lipsync.pipeline.run import run


@pytest.fixture
def sync(speaker, voice, tmp_path, capsys) -> Callable[..., tuple[int, dict, str]]:
    """Run ``lipsync sync`` with an output in ``tmp_path``; return the exit code, the JSON report and the message."""

    def run(*options: str) -> tuple[int, dict, str]:
        arguments = [
            "--video",
            str(speaker),
            "--audio",
            str(voice),
            "-o",
            str(tmp_path / "out.mp4"),
            "--json",
            *options,
        ]
        capsys.readouterr()
        code = main(["sync", *arguments])
        out, err = capsys.readouterr()
        report = json.loads(out)
        return code, report, err or report.get("error", {}).get("message", "")

    return run


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_upscaled_file_is_the_result_and_the_plain_one_stays_beside_it(sync, tmp_path):
    code, report, err = sync("--upscale", "2:lanczos")
    assert (code, err) == (0, "")
    assert files(tmp_path) == {"out.mp4", "out-plain.mp4"}
    assert [(entry["variant"], entry["width"], entry["height"]) for entry in report["outputs"]] == [
        ("final", 640, 480),
        ("plain", 320, 240),
    ]
    assert (report["width"], report["enhanced"]["status"]) == (640, "completed")
    upscaled, plain = (list(read(probe(tmp_path / name))) for name in ("out.mp4", "out-plain.mp4"))
    assert len(upscaled) == len(plain) == 50
    for one, other in zip(upscaled, plain, strict=True):
        averaged = one.y.reshape(240, 2, 320, 2).mean((1, 3))
        assert np.abs(averaged - other.y).mean() < 2.5  # both were encoded once


def test_a_missing_model_is_reported_before_any_work(sync, tmp_path):
    code, _, err = sync("--enhance", "gfpgan-1.4", "--models-dir", str(tmp_path / "models"))
    assert code != 0
    assert "gfpgan-1.4" in err
    assert "out.mp4" not in files(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--enhance", "photoshop"), "photoshop"),
        (("--enhance", "gfpgan-1.4:2"), "0 to 1"),
        (("--upscale", "3"), "expected 2, 4"),
        (("--upscale", "2:gfpgan-1.4"), "gfpgan-1.4"),
        (("--offset-copies", "500"), "invalid offset_copies 500"),
        (("--detail", "7"), "from 0 to 1"),
        (("--enhance", "codeformer", "--fidelity", "-1"), "fidelity"),
        (("--fidelity", "3"), "fidelity"),
    ],
)
def test_bad_options_are_refused(sync, tmp_path, options, words):
    code, _, err = sync(*options)
    assert code == 24
    assert words in err
    assert not files(tmp_path)


class RecordingObserver:
    """Record the events of a job."""

    def __init__(self):
        self.events = []

    def on_output(self, output):
        self.events.append((output.engine, output.variant))

    def on_enhancement(self, enhanced):
        self.events.append(enhanced.status.value)


@pytest.fixture
def job(speaker, voice, tmp_path) -> Job:
    return Job(speaker, voice, tmp_path / "out.mp4", engines=("passthrough", "rewrite"))


def test_two_results_are_enhanced_in_turn_with_one_progress(job):
    progress, observer = [], RecordingObserver()
    monitor = Monitor(lambda p: progress.append((p.done, p.total)) if p.stage == "enhance" else None)
    result = run(replace(job, enhancement=Enhancement(factor=2, upscaler="lanczos")), monitor, observer=observer)
    assert progress == [(done, 100) for done in range(1, 101)]
    assert observer.events == [
        ("passthrough", "plain"),
        ("rewrite", "plain"),
        "processing",
        ("passthrough", "final"),
        "processing",
        ("rewrite", "final"),
        "completed",
    ]
    assert result.seconds["enhance"] <= result.seconds["total"]


def test_all_results_share_one_time_limit(job, monkeypatch):
    def upscale(self, frame):
        time.sleep(0.02)
        return original_upscale(self, frame)

    original_upscale = Lanczos.upscale
    monkeypatch.setattr(Lanczos, "upscale", upscale)
    enhancement = Enhancement(factor=2, upscaler="lanczos", seconds=1.5)
    result = run(replace(job, enhancement=enhancement, offset_copies=(Fraction(80, 1000),)), Monitor())
    assert (result.enhanced.status, result.enhanced.code) == ("failed", "timed_out")
    finals = {entry.engine: entry.variant for entry in result.outputs[:2]}
    assert finals["rewrite"] == "plain"  # the first took most of the time
    assert len(result.outputs) >= 4


def test_out_of_memory_during_a_copy_leaves_finished_files_alone(job, monkeypatch):
    def write_av_offset_copy(*_, **__):
        raise OutOfMemory("full")

    monkeypatch.setattr(postprocess, "write_av_offset_copy", write_av_offset_copy)
    observer = RecordingObserver()
    with pytest.raises(OutOfMemory):
        run(replace(job, engines=("passthrough",), offset_copies=(Fraction(80, 1000),)), Monitor(), observer=observer)
    assert observer.events == [("passthrough", "final")]
    assert probe_video(job.output).video.width == 320


def test_no_edits_are_kept_for_an_enhancement_that_cannot_run(job, monkeypatch, tmp_path):
    monkeypatch.setattr(EditSpool, "record", None)
    options = EnhancerOptions(models_dir=tmp_path / "models")
    enhancement = Enhancement("codeformer", required=False, options=options)
    assert run(replace(job, enhancement=enhancement), Monitor()).enhanced.code == "model_missing"


def test_upscaled_untagged_video_keeps_the_colours_that_players_assume(speaker, sync, tmp_path):
    assert probe_video(speaker).video.colour.matrix == UNSPECIFIED
    assert sync("--upscale", "4:lanczos", "--engine", "passthrough")[0] == 0
    assert probe_video(tmp_path / "out.mp4").video.colour.matrix == BT601
    assert probe_video(tmp_path / "out-plain.mp4").video.colour.matrix == UNSPECIFIED


def test_an_interrupted_enhancement_reports_the_complete_files(sync, tmp_path, monkeypatch):
    def upscale(self, frame):
        os.kill(os.getpid(), signal.SIGINT)
        return original_upscale(self, frame)

    original_upscale = Lanczos.upscale
    monkeypatch.setattr(Lanczos, "upscale", upscale)
    (tmp_path / "out.mp4").write_bytes(b"mine")
    code, _, err = sync("--upscale", "2:lanczos", "--overwrite")
    assert code == 130
    assert err == f"stopped; complete: {tmp_path / 'out-plain.mp4'}"
    assert files(tmp_path) == {"out.mp4", "out-plain.mp4"}
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_the_manifest_replaces_no_input_or_output(sync, speaker, tmp_path):
    before = speaker.read_bytes()
    for path, code in ((speaker, 31), (tmp_path / "out.mp4", 24), (tmp_path / "out-plain.mp4", 24)):
        assert sync("--upscale", "2:lanczos", "--overwrite", "--manifest", str(path))[0] == code
    for path in (tmp_path, tmp_path / "nowhere" / "m.json"):
        assert sync("--overwrite", "--manifest", str(path))[0] == 30
    assert speaker.read_bytes() == before
    assert not files(tmp_path)


def test_a_copy_never_replaces_an_input(sync, speaker, voice, tmp_path):
    source = tmp_path / "out-audio-80ms-earlier.mp4"
    source.write_bytes(speaker.read_bytes())
    code, _, err = sync("--video", str(source), "--offset-copies", "80", "--overwrite")
    assert code == 31
    assert "would overwrite an input" in err
    assert source.read_bytes() == speaker.read_bytes()


def test_offset_copies_have_the_same_frames(sync, tmp_path):
    code, report, err = sync("--offset-copies", "80,-40", "--engine", "passthrough")
    assert (code, err) == (0, "")
    assert [entry["variant"] for entry in report["outputs"]] == ["final", "audio-80ms-earlier", "audio-40ms-later"]
    first, *others = ([*read(probe(entry["output"] and Path(entry["output"])))] for entry in report["outputs"])
    for other in others:
        assert all(np.array_equal(a.y, b.y) for a, b in zip(first, other, strict=True))


def test_the_manifest_lists_inputs_steps_models_and_outputs(sync, tmp_path, speaker):
    code, report, err = sync("--upscale", "2:lanczos", "--manifest", str(tmp_path / "out.json"))
    assert (code, err) == (0, "")
    manifest = json.loads((tmp_path / "out.json").read_text())
    assert manifest["inputs"]["video"]["name"] == speaker.name
    assert [entry["name"] for entry in manifest["outputs"]] == ["out.mp4", "out-plain.mp4"]
    assert {step["name"] for step in manifest["steps"]} == set(report["seconds"]) - {"total"}
    assert set(manifest["models"]) == {"face-landmarker", "face-recogniser", "encoder", "motion"}
    (step,) = (step for step in manifest["steps"] if step["name"] == "enhance")
    assert (step["by"]["status"], step["by"]["frame"]) == ("completed", {"name": "lanczos"})


def test_existing_files_are_kept_without_overwrite(sync, tmp_path):
    (tmp_path / "out-plain.mp4").write_bytes(b"mine")
    code, _, err = sync("--upscale", "2:lanczos")
    assert code != 0
    assert "file exists" in err
    assert (tmp_path / "out-plain.mp4").read_bytes() == b"mine"


def test_a_named_encoding_is_used(sync, tmp_path):
    code, _, err = sync("--encode", "hevc", "--engine", "passthrough")
    assert (code, err) == (0, "")
    assert probe_video(tmp_path / "out.mp4").video.codec == "hevc"


def restorer(path: Path, fails: bool = False) -> Path:
    """Write a model that sharpens 256-pixel faces; if it ``fails``, it gives NaN for smooth images.

    The smoke test of an import uses noise, which passes.
    """
    graph = pytest.importorskip("lipsync.models.onnx_builder", reason="needs the wav2lip extra").GraphBuilder(
        half=False
    )
    pytest.importorskip("onnx", reason="needs the wav2lip extra")
    cross = np.zeros((3, 3, 3, 3), np.float32)
    cross[range(3), range(3)] = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    sharper = graph.node("Conv", "face", graph.constant(cross), pads=[1] * 4)
    if fails:
        kernel = np.zeros((1, 3, 1, 2), np.float32)
        kernel[0, 0] = 1, -1
        change = graph.node("Conv", "face", graph.constant(kernel))
        energy = graph.node("ReduceMean", graph.node("Mul", change, change), axes=[1, 2, 3], keepdims=1)
        root = graph.node("Sqrt", graph.node("Sub", energy, graph.constant(np.array(0.2, np.float32))))
        sharper = graph.node("Add", sharper, graph.node("Mul", root, graph.constant(np.array(1e-9, np.float32))))
    graph.node("Identity", sharper, out="restored")
    path.write_bytes(graph.build("restorer", {"face": (3, 256, 256)}, {"restored": (3, 256, 256)}))
    return path


def test_a_restorer_changes_only_the_edited_area(sync, speaker, tmp_path):
    models = str(tmp_path / "models")
    assert (
        main(["models", "import", str(restorer(tmp_path / "a.onnx")), "--name", "codeformer", "--models-dir", models])
        == 0
    )
    code, report, err = sync(
        "--enhance", "codeformer:0.8", "--models-dir", models, "--crf", "0", "--manifest", str(tmp_path / "m.json")
    )
    assert (code, err, report["enhanced"]["status"]) == (0, "", "completed")
    restored, plain = (list(read(probe(tmp_path / name))) for name in ("out.mp4", "out-plain.mp4"))
    source = list(ping_pong(probe(speaker), 50, 40))
    for one, other, before in zip(restored, plain, source, strict=True):
        box = changed_box(before, other)
        outside = np.ones(one.y.shape, bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert np.array_equal(one.y[outside], other.y[outside])
    changes = [
        one.y[140:185, 130:190].astype(int) - other.y[140:185, 130:190]
        for one, other in zip(restored, plain, strict=True)
    ]
    assert np.mean([np.abs(change).mean() for change in changes]) > 1
    manifest = json.loads((tmp_path / "m.json").read_text())
    assert set(manifest["models"]) == {"face-landmarker", "face-recogniser", "encoder", "motion", "codeformer"}


def test_a_failed_enhancement_keeps_the_lip_sync_and_gives_a_warning(sync, tmp_path):
    models = str(tmp_path / "models")
    path = restorer(tmp_path / "a.onnx", fails=True)
    assert main(["models", "import", str(path), "--name", "codeformer", "--models-dir", models]) == 0
    code, report, _ = sync("--enhance", "codeformer", "--models-dir", models)
    assert (code, report["enhanced"]["status"], report["enhanced"]["code"]) == (0, "failed", "inference_failed")
    assert [(entry["variant"], entry["output"]) for entry in report["outputs"]] == [
        ("plain", str(tmp_path / "out.mp4"))
    ]
    assert report["warnings"] == ["not enhanced: the restorer produced NaN or infinite values"]
    assert {name for name in files(tmp_path) if name.endswith(".mp4")} == {"out.mp4"}
    assert probe_video(tmp_path / "out.mp4").video.frame_count == 50
