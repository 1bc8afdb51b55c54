"""The command line and the library, from input files to an output file."""

from __future__ import annotations

import json
import threading
from fractions import Fraction

import cv2
import numpy as np
import pytest

import lipsync
from lipsync.cli import main
from lipsync.frames.order import ping_pong_index
from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.media.reader import read


@pytest.fixture
def sync(tmp_path, speaker, voice, capsys):
    """Run ``lipsync sync``; return the exit code, standard output and standard error."""

    def run(*extra: str, video=speaker, audio=voice, output=None) -> tuple[int, str, str]:
        output = output or tmp_path / "out.mp4"
        code = main(["sync", "--video", str(video), "--audio", str(audio), "-o", str(output), *extra])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_video_gets_a_new_mouth_and_lasts_as_long_as_the_audio(sync, tmp_path, speaker):
    code, out, err = sync()
    assert code == 0, err
    assert "50 frames, 50 with the face" in out
    assert "rendering" in err
    result = probe(tmp_path / "out.mp4")
    assert abs(result.video.duration - 2) <= Fraction(1, 25)
    assert abs(audio_of(result).duration - 2) <= Fraction(1, 25)
    source, result = list(read(probe(speaker))), list(read(result))
    difference = [np.abs(result[i].y.astype(int) - source[ping_pong_index(i, 40)].y) for i in range(50)]
    assert max(a[:80].mean() for a in difference) < 1.5  # eyes and above: only encoded again
    assert max(a[130:190, 110:210].mean() for a in difference) > 3  # around the mouth


def test_the_json_report_is_complete(sync, tmp_path):
    code, out, err = sync("--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["output"] == str(tmp_path / "out.mp4")
    assert (report["frames"], report["faces"], report["edited"], report["rate"]) == (50, 50, 50, "25")
    assert (report["width"], report["height"], report["duration"], report["padding"]) == (320, 240, 2.0, [0, 0])
    assert set(report["seconds"]) == {"analyse", "track", "render", "total"}
    assert report["peak_memory"] > 50 << 20
    assert (report["engine"], report["version"], report["warnings"]) == ("rewrite", lipsync.__version__, [])
    assert report["enhanced"] is None
    (entry,) = report["outputs"]
    assert (entry["variant"], entry["width"], entry["height"]) == ("final", 320, 240)


def test_quiet_prints_nothing(sync):
    assert sync("--quiet") == (0, "", "")


def test_shorter_audio_ends_the_video(sync, tmp_path, make_audio, voice):
    short = make_audio(tmp_path / "short.wav", np.zeros(8_000, np.int16))
    code, _, err = sync(audio=short)
    assert code == 0, err
    assert probe_video(tmp_path / "out.mp4").video.frame_count in (12, 13)


def test_a_photo_speaks(sync, tmp_path, save_photo, moved, vowels):
    photo = save_photo(tmp_path / "photo.jpg", moved((161, 115), 1.6, size=(321, 241)))
    code, out, err = sync("--photo-rate", "30", "--liveliness", "0", "--json", video=photo, audio=vowels)
    assert code == 0, err
    report = json.loads(out)
    assert (report["frames"], report["rate"], report["padding"]) == (60, "30", [1, 1])
    frames = list(read(probe(tmp_path / "out.mp4")))
    mouths = np.stack([frame.y[150:190].astype(int) for frame in frames])
    assert np.ptp(mouths, axis=0).max() > 40


@pytest.mark.parametrize(("liveliness", "moves"), [("0", False), ("1", True)])
def test_the_eyes_of_a_photo_move_only_with_liveliness(sync, tmp_path, save_photo, moved, liveliness, moves):
    photo = save_photo(tmp_path / "photo.png", moved((160, 120), 1.6))
    code, _, err = sync("--liveliness", liveliness, "--encode", "lossless", video=photo, output=tmp_path / "out.mkv")
    assert code == 0, err
    frames = list(read(probe(tmp_path / "out.mkv")))
    changes = [np.abs(frame.y[80:110].astype(int) - frames[0].y[80:110]).max() for frame in frames]
    assert (max(changes) > 20) == moves
    assert (max(changes) > 0) == moves


def test_a_photo_stays_still_where_nothing_is_to_change(sync, tmp_path, save_photo, moved):
    photo = save_photo(tmp_path / "photo.png", moved((160, 120), 1.6))
    code, out, _ = sync("--engine", "passthrough", "--liveliness", "1", "--json", video=photo)
    assert code == 0
    assert json.loads(out)["edited"] == 0


def test_the_audio_may_be_that_of_a_video(sync, tmp_path, make_video):
    film = make_video(tmp_path / "film.mp4", frames=30, audio_samples=48_000)
    code, out, err = sync("--json", audio=film)
    assert code == 0, err
    assert json.loads(out)["frames"] in (25, 26)


def test_an_engine_that_changes_nothing(sync):
    code, out, _ = sync("--engine", "passthrough", "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["edited"], report["frames"]) == (0, 50)


def test_frames_without_the_face_are_copied_unchanged(sync, tmp_path, moved):
    import av

    path = tmp_path / "leaves.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(50):
            image = moved((160, 115), 1.6) if k < 25 else np.full((240, 320, 3), 100, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode(None))
    code, out, err = sync("--json", video=path)
    assert code == 0, err
    report = json.loads(out)
    assert report["faces"] == report["edited"] == 25
    assert "25 of 50 frames" in report["warnings"][0]


def test_an_old_output_is_replaced_only_on_request(sync, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    code, _, err = sync()
    assert code == 32
    assert "--overwrite" in err
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert sync("--overwrite")[0] == 0
    assert (tmp_path / "out.mp4").stat().st_size > 1000


def test_the_library_reports_progress(tmp_path, speaker, voice):
    reports: list[lipsync.Progress] = []
    result = lipsync.sync(speaker, voice, tmp_path / "out.mp4", on_progress=reports.append)
    assert (result.frames, result.faces) == (50, 50)
    assert {r.stage for r in reports} == {"analyse", "track", "render"}
    assert max(r.done for r in reports if r.stage == "render") == 50


def test_the_library_can_be_cancelled_from_another_thread(tmp_path, speaker, voice):
    monitor = lipsync.Monitor(lambda p: threading.Thread(target=monitor.cancel).start() if p.done == 5 else None)
    with pytest.raises(lipsync.Cancelled):
        lipsync.sync(speaker, voice, tmp_path / "out.mp4", monitor=monitor)
    assert list(tmp_path.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]


def test_overlapping_jobs_restore_opencvs_thread_count(tmp_path, speaker, voice):
    first_runs, second_runs, first_ended = (threading.Event() for _ in range(3))

    def first(_: lipsync.Progress) -> None:
        first_runs.set()
        assert second_runs.wait(60)

    def second(_: lipsync.Progress) -> None:
        second_runs.set()
        assert first_ended.wait(60)
        counts.add(cv2.getNumThreads())

    def run_first() -> None:
        lipsync.sync(speaker, voice, tmp_path / "first.mp4", engine="passthrough", on_progress=first)
        first_ended.set()

    counts = set[int]()
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        thread = threading.Thread(target=run_first)
        thread.start()
        assert first_runs.wait(60)
        lipsync.sync(speaker, voice, tmp_path / "second.mp4", engine="passthrough", on_progress=second)
        thread.join(60)
        assert (counts, cv2.getNumThreads()) == ({1}, 2)
    finally:
        cv2.setNumThreads(before)


def test_the_version(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"lipsync {lipsync.__version__}\n"


def test_doctor_finds_no_problem(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    names = {finding["name"] for finding in report["findings"]}
    assert report["works"]
    assert {"processor", "OpenVINO", "PyAV", "encoder libx264", "face models", "motion model"} <= names
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("lipsync is ready.\n")
