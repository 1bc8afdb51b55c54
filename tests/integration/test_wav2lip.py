"""The Wav2Lip engines from the command line to the file, with stand-ins for the networks that users bring."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lipsync.cli import main
from lipsync.frames.order import loop_index, ping_pong_index
from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.media.reader import read


@pytest.fixture
def call(models_dir, capsys):
    """Run a command; gives the exit code, what it printed as JSON, and the end of standard error."""

    def run(*arguments: object) -> tuple[int, dict, str]:
        code = main([*map(str, arguments), "--models-dir", str(models_dir), "--json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    return run


@pytest.fixture
def sync(call, tmp_path, speaker, voice):
    def run(*extra: object, video=speaker, audio=voice, engine="wav2lip"):
        output = tmp_path / "out.mp4"
        return call("sync", "--video", video, "--audio", audio, "-o", output, "--overwrite", "--engine", engine, *extra)

    return run


@pytest.fixture
def infer(call, tmp_path, speaker, voice):
    """``lipsync infer`` with the flags of Wav2Lip's inference.py; the output is ``out.mp4``."""

    def run(*extra: object, video=speaker, audio=voice):
        fixed = ("--checkpoint_path", "wav2lip", "--face", video, "--audio", audio, "--outfile", tmp_path / "out.mp4")
        return call("infer", *fixed, *extra)

    return run


def red(image) -> bool:
    """Whether the stand-in's red lips are visible."""
    return bool((image.v.astype(int) > 185).sum() > 30)


def frames_of(path) -> list:
    return list(read(probe(path)))


def test_a_video_gets_a_new_mouth_and_loses_no_frames(sync, tmp_path, speaker):
    code, report, err = sync()
    assert (code, err) == (0, "")
    assert (report["frames"], report["edited"], report["faces"]) == (50, 50, 50)
    (entry,) = report["outputs"]
    assert (entry["engine"], entry["device"], entry["batch"]) == ("wav2lip", "cpu", 4)
    assert entry["precision"] in ("fp32", "bf16")
    result = probe(tmp_path / "out.mp4")
    assert (result.video.frame_count, float(audio_of(result).duration)) == (50, pytest.approx(2, abs=0.05))
    source, frames = frames_of(speaker), frames_of(tmp_path / "out.mp4")
    assert all(red(frame) for frame in frames[12:14])
    away = [np.abs(frames[i].y.astype(int) - source[ping_pong_index(i, 40)].y)[:80].mean() for i in range(50)]
    assert max(away) < 1.5  # eyes and above: only encoded again


def test_original_mode_ends_when_the_original_does_and_loops_the_footage(sync, tmp_path, speaker):
    code, report, err = sync("--original")
    assert (code, err) == (0, "")
    assert report["frames"] == 47
    source, frames = frames_of(speaker), frames_of(tmp_path / "out.mp4")
    away = [np.abs(frames[i].y.astype(int) - source[loop_index(i, 40)].y)[:60].mean() for i in range(47)]
    assert max(away) < 1.7


def test_both_models_in_one_task(sync, tmp_path):
    code, report, err = sync("--engine", "wav2lip-gan", "--engine", "rewrite")
    assert (code, err) == (0, "")
    names = ["wav2lip", "wav2lip-gan", "rewrite"]
    assert [entry["engine"] for entry in report["outputs"]] == names
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"out-{name}.mp4" for name in names)
    first, second, third = (frames_of(tmp_path / f"out-{name}.mp4") for name in names)
    assert len(first) == len(second) == len(third) == 50
    assert red(first[13])
    assert red(second[13])
    assert not red(third[13])
    assert set(report["seconds"]) == {"analyse", "track", "render", "total"}


def test_an_old_result_of_one_of_them_is_kept_without_overwrite(call, tmp_path, speaker, voice):
    (tmp_path / "out-wav2lip.mp4").write_bytes(b"precious")
    arguments = ("sync", "--video", speaker, "--audio", voice, "-o", tmp_path / "out.mp4")
    code, report, _ = call(*arguments, "--engine", "rewrite", "--engine", "wav2lip")
    assert (code, report["error"]["code"]) == (32, "output_exists")
    assert (tmp_path / "out-wav2lip.mp4").read_bytes() == b"precious"


def test_a_photo_speaks_and_stays_itself_elsewhere(sync, tmp_path, save_photo, moved):
    photo = save_photo(tmp_path / "photo.JPG", moved((161, 115), 1.6, size=(321, 241)))
    code, report, err = sync("--liveliness", "0", video=photo)
    assert (code, err) == (0, "")
    assert (report["frames"], report["padding"]) == (50, [1, 1])
    frames = frames_of(tmp_path / "out.mp4")
    assert red(frames[13])
    assert np.abs(frames[13].y[:80].astype(int) - frames[0].y[:80]).mean() < 1


def test_a_face_that_leaves_and_returns(sync, tmp_path, moved):
    import av

    path = tmp_path / "leaves.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(50):
            image = np.full((240, 320, 3), 100, np.uint8) if 15 <= k < 35 else moved((160, 115), 1.6)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode(None))
    for mode in ((), ("--original",)):
        code, report, err = sync(*mode, video=path)
        assert (code, err) == (0, "")
        assert 20 <= report["edited"] <= 30
        assert "the face is out of view" in report["warnings"][0]
        frames = frames_of(tmp_path / "out.mp4")
        assert not red(frames[25])


def test_silence_shows_no_red_lips(sync, tmp_path, make_audio):
    silent = make_audio(tmp_path / "silent.wav", np.zeros(16_000, np.int16))
    for mode in ((), ("--original",)):
        assert sync(*mode, audio=silent)[0] == 0
        assert not any(red(frame) for frame in frames_of(tmp_path / "out.mp4"))


@pytest.mark.parametrize("mode", [(), ("--original",)])
def test_audio_shorter_than_the_generators_window(sync, tmp_path, make_audio, mode):
    short = make_audio(tmp_path / "short.wav", np.zeros(1_600, np.int16))
    code, report, err = sync(*mode, audio=short)
    assert (code, err) == (0, "")
    assert report["frames"] == 2


def loud_from(frames: list) -> int:
    return next(i for i, frame in enumerate(frames) if red(frame))


@pytest.mark.parametrize("engine", ["wav2lip", "rewrite"])
def test_the_mouth_moves_later_or_earlier_on_request(sync, tmp_path, make_audio, engine):
    time = np.arange(16_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20)) * 6000
    recording = make_audio(tmp_path / "a.wav", np.concatenate([np.zeros(12_800), buzz]).astype(np.int16))
    starts, results = {}, {}
    for offset in (-200, 0, 200):
        code, _, err = sync("--av-offset", offset, audio=recording, engine=engine)
        assert (code, err) == (0, "")
        results[offset] = frames_of(tmp_path / "out.mp4")
        if engine == "wav2lip":
            starts[offset] = loud_from(results[offset])
    assert len({len(frames) for frames in results.values()}) == 1
    assert sync("--av-offset", -9000, audio=recording, engine=engine)[0] == 0
    if engine == "wav2lip":
        assert starts[0] - starts[-200] == starts[200] - starts[0] == 5
    else:
        early, late = (np.abs(results[k][26].y.astype(int) - results[0][26].y)[130:190].mean() for k in (-200, 200))
        assert max(early, late) > 0.3


def test_frames_are_downscaled_on_request(sync, tmp_path):
    code, report, err = sync("--resize-factor", "2")
    assert (code, err) == (0, "")
    assert (report["width"], report["height"], report["resize_factor"]) == (160, 120, 2)
    assert report["edited"] == 50


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--engine", "rewrite", "--original"), 24, "original cannot be combined with the rewrite engine"),
        (("--engine", "wav2lip-gan", "--checkpoint", "x.pth"), 24, "checkpoint"),
        (("--batch-size", "0"), 24, "invalid batch_size 0"),
        (("--resize-factor", "0"), 24, "invalid resize_factor 0"),
        (("--resize-factor", "9"), 24, "at least 32x32"),
        (("--device", "abacus"), 24, "abacus"),
        (("--precision", "int1"), 24, "int1"),
        (("--device", "directml"), 51, "directml"),
        (("--checkpoint", "nothing-of-the-kind"), 40, "nothing-of-the-kind"),
        (("--engine", "wav2lip"), 24, "once"),
    ],
)
def test_bad_options_fail_before_any_work(sync, tmp_path, options, code, words):
    found, report, _ = sync(*options)
    assert (found, words in report["error"]["message"]) == (code, True), report
    assert list(tmp_path.iterdir()) == []


def test_the_error_for_missing_weights_names_both_ways_to_get_them(tmp_path, speaker, voice, capsys):
    arguments = ["sync", "--video", speaker, "--audio", voice, "-o", tmp_path / "out.mp4", "--engine", "wav2lip-gan"]
    assert main([*map(str, arguments), "--models-dir", str(tmp_path / "empty")]) == 40
    line = capsys.readouterr().err
    assert "lipsync models fetch wav2lip-gan --accept-license" in line
    assert "lipsync models import FILE --name wav2lip-gan" in line


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("after", [1.5, 3.0])
def test_ctrl_c_ends_it_without_a_file(models_dir, tmp_path, speaker, make_audio, after):
    long = make_audio(tmp_path / "long.wav", np.zeros(16_000 * 600, np.int16))
    output = tmp_path / "result" / "out.mp4"
    output.parent.mkdir()
    options = ["--video", speaker, "--audio", long, "-o", output, "--engine", "wav2lip", "--models-dir", models_dir]
    call = [sys.executable, "-m", "lipsync", "sync", *map(str, options)]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "lipsync: stopped; nothing was written [cancelled]"
    assert list(output.parent.iterdir()) == []


def test_infer_accepts_the_flags_of_the_original(infer, tmp_path):
    every = (
        *("--static", "False", "--fps", "25", "--pads", "0", "20", "0", "0", "--face_det_batch_size", "4"),
        *("--wav2lip_batch_size", "128", "--resize_factor", "1", "--crop", "0", "-1", "0", "-1"),
        *("--box", "-1", "-1", "-1", "-1", "--nosmooth"),
    )
    for mode in ((), ("--original",)):
        code, report, err = infer(*every, *mode)
        assert (code, err) == (0, "")
        assert report["edited"] == report["frames"] == (47 if mode else 50)
        assert report["outputs"][0]["batch"] == 32


def test_infer_replaces_an_old_output_and_makes_its_usual_folder(models_dir, tmp_path, speaker, voice, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["infer", "--checkpoint_path", "wav2lip", "--face", str(speaker), "--audio", str(voice), "--quiet"]
    for _ in range(2):
        assert main([*arguments, "--models-dir", str(models_dir)]) == 0
    assert probe_video(tmp_path / "results" / "result_voice.mp4").video.frame_count == 50


@pytest.mark.parametrize(("word", "still"), [("False", False), ("0", False), ("True", True), ("1", True)])
def test_infer_knows_false_from_true(infer, tmp_path, word, still):
    assert infer("--static", word, "--original")[0] == 0
    frames = frames_of(tmp_path / "out.mp4")
    moved = np.abs(frames[20].y[:70].astype(int) - frames[0].y[:70]).mean() > 2
    assert moved is not still


def test_infer_turns_cuts_and_shrinks_in_the_originals_order(infer, tmp_path, speaker):
    code, report, err = infer("--resize_factor", "2", "--crop", "8", "112", "20", "140")
    assert (code, err) == (0, "")
    assert (report["width"], report["height"]) == (120, 104)
    code, report, err = infer("--rotate", "--box", "20", "120", "40", "160")
    assert (code, err) == (0, "")
    assert (report["width"], report["height"], report["edited"]) == (240, 320, 50)
    turned, source = frames_of(tmp_path / "out.mp4")[0], frames_of(speaker)[0]
    assert np.abs(np.rot90(source.y, -1)[200:].astype(int) - turned.y[200:]).mean() < 1.5


def test_infer_takes_a_box_where_no_face_is_found(infer, tmp_path, make_video):
    bars = make_video(tmp_path / "bars.mp4", frames=30)
    assert infer(video=bars)[0] == 20
    for mode in ((), ("--original",)):
        code, report, err = infer("--box", "10", "90", "40", "120", *mode, video=bars)
        assert (code, err) == (0, "")
        assert report["edited"] == report["frames"]
        code, report, err = infer("--box", "-5", "90", "-40", "999", *mode, video=bars)
        assert (code, err) == (0, "")
        assert report["edited"] >= report["frames"] - 2
        for wrong in ("90 10 40 120", "96 200 40 120", "10 90 -50 -1"):
            assert infer("--box", *wrong.split(), *mode, video=bars)[1]["error"]["code"] == "option_invalid"
    assert infer("--box", "-1", "90", "40", "120", video=bars)[0] == 20  # as in the original, -1 means to look


def test_infer_accepts_dots_spaces_and_capitals_in_names(infer, tmp_path, save_photo, moved, voice):
    folder = tmp_path / "a folder v1.2"
    folder.mkdir()
    photo = save_photo(folder / "my face.v3.PNG", moved((160, 115), 1.6))
    recording = shutil.copy(voice, folder / "the voice (2).wav")
    code, report, err = infer("--fps", "30", "--original", video=photo, audio=recording)
    assert (code, err) == (0, "")
    assert report["rate"] == "30"


def test_infer_makes_photos_smaller_only_in_the_default_mode(infer, tmp_path, save_photo, moved):
    photo = save_photo(tmp_path / "photo.png", moved((160, 120), 1.6))
    assert [infer("--resize_factor", "2", *m, video=photo)[1]["width"] for m in ((), ("--original",))] == [160, 320]


def test_ten_bits_and_odd_sizes(infer, tmp_path, save_photo, moved):
    import av

    path = tmp_path / "deep.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=error"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p10le"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(moved((160, 120), 1.6), "rgb24")))
        out.mux(stream.encode(None))
    odd = save_photo(tmp_path / "odd.png", moved((161, 115), 1.6, size=(321, 241)))
    for mode in ((), ("--original",)):
        for face in (path, odd):
            code, report, err = infer(*mode, video=face)
            assert (code, err, report["edited"]) == (0, "", report["frames"])


@pytest.mark.parametrize("extra", [("--img_size", "288"), ("--resize_factor", "0")])
def test_infer_refuses_invalid_flags(infer, extra):
    assert infer(*extra)[1]["error"]["code"] == "option_invalid"
