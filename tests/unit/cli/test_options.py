"""Every option of the table on the command line, and the speed and size of the help."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lipsync.cli import COMMANDS, build_parser, main
from lipsync.cli.options import given_options
from lipsync.pipeline.option import Door, Group, Kind
from lipsync.pipeline.options import options_of

FILES = ("sync", "--video", "v.mp4", "--audio", "a.wav", "-o", "o.mp4")
ARGUMENTS = {Kind.INTEGER: "1", Kind.NUMBER: "0.5", Kind.RATE: "30", Kind.TEXT: "x", Kind.PATH: "p", Kind.NAMES: "n"}
MAX_LINES = 40  # of a screen


def parse(*more: str) -> dict[str, object]:
    given = given_options(build_parser("sync").parse_args([*FILES, *more]))
    given.pop("models_dir")
    return given


def test_every_option_has_a_flag():
    for option in options_of(Door.CLI).values():
        if option.name != "models_dir":
            words = [] if option.kind is Kind.BOOLEAN else [ARGUMENTS.get(option.kind, "1")]
            assert set(parse(option.flag, *words)) == {option.name}
    assert parse() == {}


def test_the_video_may_be_named_as_in_wav2lip():
    arguments = ["sync", "--face", "v.mp4", "--audio", "a.wav", "-o", "o.mp4", "--face-select", "left"]
    parsed = build_parser("sync").parse_args(arguments)
    assert (parsed.video, parsed.face_select) == (Path("v.mp4"), "left")


def test_the_folder_of_models_is_the_flags_or_the_environments(monkeypatch):
    monkeypatch.setenv("LIPSYNC_MODELS", "environment")
    parser = build_parser("sync")
    assert given_options(parser.parse_args(FILES))["models_dir"] == Path("environment")
    assert given_options(parser.parse_args([*FILES, "--models-dir", "flag"]))["models_dir"] == Path("flag")


def test_infer_maps_the_original_flags(monkeypatch, tmp_path):
    jobs = []
    monkeypatch.setattr("lipsync.cli.infer.perform", lambda job, arguments, monitor: jobs.append(job))
    line = (
        "infer --checkpoint_path x.pth --face v.mp4 --audio a.wav --outfile o.mp4 --fps 30 --pads 1 2 3 4 --box 5 6 7 8"
    )
    more = "--wav2lip_batch_size 9 --resize_factor 2 --crop 0 50 0 60 --rotate --nosmooth --static --original"
    assert main([*line.split(), *more.split(), "--av-offset", "40", "--crf", "20"]) == 0
    (job,) = jobs
    options = job.options
    assert (options.checkpoint, options.batch_size, options.pads, options.box) == (
        "x.pth",
        9,
        (1, 2, 3, 4),
        (5, 6, 7, 8),
    )
    assert (options.smooth, options.original, job.static, job.rotate, job.allow_clipped) == (
        False,
        True,
        True,
        True,
        True,
    )
    assert (job.engines, job.photo_rate, job.resize_factor, job.crop) == (("wav2lip",), 30, 2, (0, 50, 0, 60))
    assert (float(job.av_offset), job.encoding.crf, job.liveliness) == (0.04, 20, 0)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--photo-rate", "0"), "invalid photo_rate 0: expected a number or fraction from 1 to 120 (frames/s)"),
        (("--crf", "abc"), "invalid crf 'abc': expected an integer from 0 to 63"),
        (("--face-select", "nicest", "--engine", "passthrough"), "invalid face_select 'nicest'"),
    ],
)
def test_bad_values_exit_with_the_code_of_option_invalid(extra, words, capsys):
    assert main([*FILES, *extra]) == 24
    assert capsys.readouterr().err.startswith(f"lipsync: {words}")


def test_the_help_of_each_group_fits_one_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["sync", "--help"])
    sections = capsys.readouterr().out.split("\n\n")
    headings = {section.partition(":")[0]: section for section in sections}
    assert {group.value for group in Group} <= set(headings)
    assert all(section.count("\n") < MAX_LINES for section in sections)
    assert "LIPSYNC_MODELS" in headings["inference"]


def test_every_command_is_listed_and_has_its_arguments(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listing = capsys.readouterr().out
    assert all(text in " ".join(listing.split()) for text in COMMANDS.values())
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
    assert capsys.readouterr().out.count("usage: lipsync ") == len(COMMANDS)


def test_the_help_is_fast():
    """Under 0.3 times the import of NumPy and OpenCV; the fastest of several runs, because machines are busy."""

    def fastest(*command: str) -> float:
        return min(seconds_of(command) for _ in range(7))

    assert fastest("-m", "lipsync", "--help") < 0.3 * fastest("-c", "import numpy, cv2") + 0.02


def seconds_of(command: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start
