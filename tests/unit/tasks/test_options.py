"""What a task's options mean."""

from __future__ import annotations

import pytest

from lipsync.errors import OptionInvalid
from lipsync.tasks.options import DEFAULTS, check_options, complete


def test_what_is_not_said_is_the_default():
    assert complete({"crf": 20}) == {**DEFAULTS, "crf": 20}
    check_options({})


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
def test_what_makes_no_sense_is_told_whatever_it_is(options):
    with pytest.raises(OptionInvalid):
        check_options(options)
