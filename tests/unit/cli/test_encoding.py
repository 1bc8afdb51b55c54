from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lipsync.cli.options import HelpFormatter, add_group, given_options
from lipsync.errors import OptionInvalid
from lipsync.media.encoding import PRESETS, Encoding
from lipsync.pipeline.build_job import build_job
from lipsync.pipeline.option import Group


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(formatter_class=HelpFormatter)
    add_group(parser, Group.ENCODING)
    add_group(parser, Group.INFERENCE)
    return parser


def encoding_of(arguments: argparse.Namespace) -> Encoding:
    return build_job(Path("a.mp4"), Path("b.wav"), Path("c.mp4"), **given_options(arguments)).encoding


@pytest.mark.parametrize(
    ("line", "encoding"),
    [
        ("", Encoding()),
        ("--encode q17", Encoding(preset="slow")),
        ("--encode prores", PRESETS["prores"].encoding),
        ("--encode q17 --crf 12", Encoding(crf=12, preset="slow")),
        ("--codec libx265 --preset medium", Encoding("libx265", 17, "medium")),
        ("--encode hevc --pixel-format yuv422p", Encoding("libx265", 20, "fast", "yuv422p")),
        ("--encode small --audio-bitrate 96000", Encoding(crf=26, preset="medium", audio_bitrate=96_000)),
    ],
)
def test_single_options_override_the_named_encoding(parser, line, encoding):
    assert encoding_of(parser.parse_args(line.split())) == encoding


def test_an_unknown_encoding_is_refused(parser):
    with pytest.raises(OptionInvalid, match="invalid encode 'best': expected one of fast, q17"):
        encoding_of(parser.parse_args(["--encode", "best"]))


def test_the_help_names_every_encoding(parser):
    text = " ".join(parser.format_help().replace("-\n", "-").split())
    assert all(f"{name}," in text or f"{name} " in text or f"{name};" in text for name in PRESETS)
