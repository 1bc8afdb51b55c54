"""Invalid inputs: one clear line, an exit code, an error code, and no file left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lipsync.cli import main


def files(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns if p.is_file() else 0 for p in folder.rglob("*")}


@pytest.fixture
def fails(tmp_path, speaker, voice, capsys):
    """Run ``lipsync sync``, which must fail; return its exit code, error code and message."""

    def run(
        *extra: str, video: Path = speaker, audio: Path = voice, output: Path | None = None
    ) -> tuple[int, str, str]:
        output = output or tmp_path / "result" / "out.mp4"
        output.parent.mkdir(exist_ok=True)
        before = files(tmp_path)
        call = ["sync", "--video", str(video), "--audio", str(audio), "-o", str(output), *extra]
        code = main(call)
        line = capsys.readouterr().err.splitlines()[-1]
        assert main([*call, "--json"]) == code
        error = json.loads(capsys.readouterr().out)["error"]
        assert line == f"lipsync: {error['message']} [{error['code']}]"
        assert files(tmp_path) == before
        return code, error["code"], error["message"]

    return run


@pytest.mark.parametrize("role", ["video", "audio"])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: None, (10, "file_missing")),
        (lambda p: p.mkdir(), (11, "not_a_file")),
        (lambda p: p.write_bytes(b""), (13, "file_empty")),
        (lambda p: p.write_text("To be or not to be, that is the question.\n" * 30), (14, "not_media")),
        (lambda p: p.write_bytes(os.urandom(5000)), (14, "not_media")),
    ],
    ids=["missing", "directory", "zero bytes", "text", "noise"],
)
def test_a_file_that_is_not_media(tmp_path, fails, role, make, expected):
    path = tmp_path / "thing.mp4"
    make(path)
    code, name, message = fails(**{role: path})
    assert (code, name) == expected
    assert "thing.mp4" in message


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_truncated_video(tmp_path, fails, speaker, share):
    path = tmp_path / "cut.mp4"
    path.write_bytes(speaker.read_bytes()[: int(speaker.stat().st_size * share)])
    assert fails(video=path)[:2] == (15, "media_truncated")


def test_audio_given_as_the_video(fails, voice):
    assert fails(video=voice)[:2] == (16, "no_video_stream")


def test_a_silent_video_given_as_the_audio(fails, speaker):
    assert fails(audio=speaker)[:2] == (17, "no_audio_stream")


def test_a_tiny_video(tmp_path, fails, make_video):
    code, name, message = fails(video=make_video(tmp_path / "tiny.mp4", size=(16, 16)))
    assert (code, name) == (19, "frame_too_small")
    assert "16x16" in message


def test_a_video_without_a_face(tmp_path, fails, make_video):
    code, name, message = fails(video=make_video(tmp_path / "bars.mp4", frames=10))
    assert (code, name) == (20, "no_face_found")
    assert "bars.mp4" in message or "face" in message


def test_ten_milliseconds_of_audio(tmp_path, fails, make_audio):
    assert fails(audio=make_audio(tmp_path / "a.wav", np.zeros(160, np.int16)))[:2] == (21, "audio_too_short")


def test_audio_with_nan(tmp_path, fails, make_audio):
    samples = np.zeros(16_000, np.float32)
    samples[800:900] = np.nan
    assert fails(audio=make_audio(tmp_path / "a.wav", samples))[:2] == (22, "audio_invalid")


def test_clipped_audio(tmp_path, fails, make_audio):
    square = np.where(np.arange(16_000) % 40 < 20, 32767, -32768).astype(np.int16)
    code, name, message = fails(audio=make_audio(tmp_path / "a.wav", square))
    assert (code, name) == (23, "audio_clipped")
    assert "--allow-clipped" in message


@pytest.mark.parametrize(
    "extra",
    [("--engine", "magic"), ("--face-select", "nicest"), ("--codec", "theora9"), ("--crf", "99"), ("--preset", "soon")],
)
def test_invalid_options(fails, extra):
    code, name, message = fails(*extra)
    assert (code, name) == (24, "option_invalid")
    assert extra[1] in message


def test_an_impossible_output(tmp_path, fails, speaker):
    assert fails(output=tmp_path / "result" / "out.txt")[:2] == (24, "option_invalid")
    assert fails(output=Path("/proc/nowhere/out.mp4").parent.parent / "out.mp4")[:2] == (30, "output_unwritable")


def test_output_into_a_missing_directory(tmp_path, speaker, voice, capsys):
    output = tmp_path / "nowhere" / "out.mp4"
    assert main(["sync", "--video", str(speaker), "--audio", str(voice), "-o", str(output)]) == 30
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("extra", [(), ("--overwrite",)])
def test_output_over_input(tmp_path, fails, speaker, voice, extra):
    video = tmp_path / "video.mp4"
    video.write_bytes(speaker.read_bytes())
    assert fails(*extra, video=video, output=video)[:2] == (31, "output_is_input")
    other = tmp_path / "same.mp4"
    other.hardlink_to(video)
    assert fails(*extra, video=video, output=other)[:2] == (31, "output_is_input")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lipsync", "sync", *map(str, arguments)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("engine", ["rewrite", "passthrough"])  # the first fills the temporary folder's disk
def test_a_full_disk(tmp_path, speaker, voice, engine):
    def limited() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))

    call = command("--video", speaker, "--audio", voice, "-o", tmp_path / "out.mp4", "--json", "--engine", engine)
    done = subprocess.run(call, preexec_fn=limited, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 33, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "disk_full"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("after", [0.2, 1.0, 3.0])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_no_file(tmp_path, speaker, make_audio, number, code, after):
    long = make_audio(tmp_path / "long.wav", np.zeros(16_000 * 600, np.int16))
    output = tmp_path / "result" / "out.mp4"
    output.parent.mkdir()
    call = command("--video", speaker, "--audio", long, "-o", output)
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(after)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    if after > 0.5:  # earlier, Python may still be starting
        assert process.returncode == code
        assert err.splitlines()[-1] == "lipsync: stopped; nothing was written [cancelled]"
    assert list(output.parent.iterdir()) == []
