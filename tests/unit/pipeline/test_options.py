"""The table of options: its checks, and the names that it shares with the modules below it."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from lipsync.errors import OptionInvalid
from lipsync.faces import selection
from lipsync.media import av_offset
from lipsync.models import devices
from lipsync.pipeline.option import Door, Kind
from lipsync.pipeline.options import API_CODECS, DEVICES, OPTIONS, checked_options, options_of

EXPECTED = {
    "photo_rate": ("fast", 0, 121, float("nan"), float("inf"), "25", True, None, [25]),
    "allow_clipped": (1, "yes", None),
    "allow_truncated": (1, "yes", None),
    "av_offset": (10_001, -10_001, 0.5, "5"),
    "resize_factor": (0, 17, -1),
    "crop": ((0, 0, 0), (0, -2, 0, -1), "0000", (0, 0, 0, 0.5)),
    "pads": ((0, 0, 0), (2**70, 0, 0, 0), (0, 0, 0, -10_001)),
    "face_select": ("nicest", "", 5),
    "engine": ((), ("rewrite", "rewrite"), "magic", (5,), 5, ([],)),
    "detail": (1.1, -0.1, float("nan")),
    "liveliness": (1.1, -0.1, float("nan")),
    "encode": ("vhs", []),
    "crf": (-1, 64, 17.0, True),
    "codec": ("libx264\n", "libx264\0"),
    "enhance": ("", "x" * 4097, 5),
    "audio_codec": ("mp3",),
    "audio_bitrate": (7_999, 10_000_001, 2**70),
    "tile": (31,),
    "device": ("abacus",),
    "precision": ("int1",),
    "batch_size": (0,),
    "models_dir": (5,),
    "offset_copies": ((0,), (121,), (1,) * 9, 3, "80"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in EXPECTED.items() for value in values])
def test_bad_values_are_refused_with_name_and_expectation(name, value):
    option = OPTIONS[name]
    with pytest.raises(OptionInvalid, match=f"^invalid {name} ") as refused:
        option.checked(value)
    assert str(refused.value).endswith(f": expected {option.expected}")


def test_a_long_value_is_cut_in_the_error():
    with pytest.raises(OptionInvalid) as refused:
        OPTIONS["encode"].checked("x" * 10_000)
    assert len(str(refused.value)) < 500


def test_defaults_are_valid_and_help_is_complete():
    for option in OPTIONS.values():
        option.checked(option.default)
        assert option.help[0].islower() or option.help.startswith("CodeFormer")
        assert option.help[-1] != "."
        assert option.default is not None or option.default_help
        assert Door.LIBRARY in option.doors
        if Door.CLI in option.doors and option.kind is not Kind.BOOLEAN:
            assert option.metavar


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("photo_rate", "30000/1001", Fraction(30_000, 1001)),
        ("photo_rate", "29.97", Fraction(2997, 100)),
        ("av_offset", "-80", -80),
        ("detail", ".5", 0.5),
        ("offset_copies", "-80,80", (-80, 80)),
        ("codec", "libx265", "libx265"),
        ("models_dir", "weights", Path("weights")),
    ],
)
def test_command_line_arguments_are_parsed(name, text, value):
    assert OPTIONS[name].checked(OPTIONS[name].parse(text)) == value


@pytest.mark.parametrize(("name", "text"), [("photo_rate", "1/0"), ("crf", "abc"), ("detail", "nan"), ("tile", "")])
def test_arguments_that_cannot_be_parsed_are_refused(name, text):
    with pytest.raises(OptionInvalid, match=f"invalid {name} "):
        OPTIONS[name].checked(OPTIONS[name].parse(text))


def test_decimal_rates_are_exact():
    assert OPTIONS["photo_rate"].checked(29.97) == Fraction(2997, 100)


def test_an_unknown_option_is_refused():
    with pytest.raises(OptionInvalid, match="unknown option 'colour'"):
        checked_options({"colour": "red"})
    with pytest.raises(OptionInvalid, match="unknown option 'device'"):
        checked_options({"device": "cpu"}, Door.API)


def test_the_api_takes_fewer_encoders():
    assert options_of(Door.API)["codec"].choices == API_CODECS
    assert options_of(Door.LIBRARY)["codec"].choices == ()


def test_the_table_names_what_the_modules_below_it_have():
    from lipsync.enhancers.upscale import ncnn

    assert OPTIONS["face_select"].choices == selection.FACE_SELECTIONS
    assert ("auto", *devices.DEVICES, *ncnn.NCNN_DEVICES) == DEVICES
    assert OPTIONS["precision"].choices == ("auto", *devices.PRECISIONS)
    assert OPTIONS["offset_copies"].maximum == av_offset.MAX_OFFSET_MS


def test_the_table_imports_nothing_heavy():
    code = (
        "import sys, lipsync.pipeline.options;"
        "print([name for name in ('numpy', 'cv2', 'av', 'pydantic', 'openvino') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
