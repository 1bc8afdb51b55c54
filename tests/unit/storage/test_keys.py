"""Keys of published files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from lipsync.errors import OptionInvalid, SettingInvalid
from lipsync.storage.keys import KeyTemplate, ResultFields, check_key, safe_stem

WHEN = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)


def result(**changes: object) -> ResultFields:
    fields = {"task": "0f3a", "engine": "wav2lip-gan", "suffix": ".mp4", "when": WHEN, "name": "My film.mov"} | changes
    return ResultFields(**fields)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{date}/{task}/{engine}{suffix}", "2026-03-09/0f3a/wav2lip-gan.mp4"),
        ("{year}/{month}/{day}/{task}-{engine}{suffix}", "2026/03/09/0f3a-wav2lip-gan.mp4"),
        ("videos/{task}/{stem}_{engine}{suffix}", "videos/0f3a/My-film_wav2lip-gan.mp4"),
    ],
)
def test_a_template_is_filled_in(template, key):
    assert KeyTemplate.parse(template).render(result()) == key


def test_dates_are_those_of_utc():
    late = WHEN.astimezone(timezone(timedelta(hours=5)))
    assert KeyTemplate.parse("{date}/{task}{engine}{suffix}").render(result(when=late)).startswith("2026-03-09/")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "lacks {task}"),
        ("{engine}{suffix}", "lacks {task}"),
        ("{task}{suffix}", "lacks {engine}"),
        ("{task}/{engine}", "lacks {suffix}"),
        ("{task}/{user}/{engine}{suffix}", "unknown field {user}"),
        ("{task.__class__}{engine}{suffix}", "unknown field {task.__class__}"),
        ("{task!r}{engine}{suffix}", "unknown field"),
        ("{task:>100}{engine}{suffix}", "unknown field"),
        ("{}{task}{engine}{suffix}", "unknown field {}"),
        ("{task}{engine}{suffix}}", "Single '}'"),
        ("{task{engine}{suffix}", "LIPSYNC_RESULT_KEY_TEMPLATE"),
        ("{{{task}}}{engine}{suffix}", "is not allowed"),
        ("/{task}/{engine}{suffix}", "must not start with a slash"),
        ("../{task}/{engine}{suffix}", "is not allowed"),
        ("a//{task}/{engine}{suffix}", "invalid key"),
        ("{task}/{engine}/{suffix}", "invalid key"),
        ("{task}/{engine}{suffix}/", "invalid key"),
        ("{task}\\{engine}{suffix}", "is not allowed"),
        ("{task} {engine}{suffix}", "is not allowed"),
        ("Größe/{task}/{engine}{suffix}", "is not allowed"),
        ("{task}/{engine}{suffix}" + "/{stem}" * 10, "can render keys of 7"),
        ("{task}{engine}{stem}{stem}{suffix}", "invalid key"),
    ],
)
def test_an_unsafe_template_prevents_startup(template, message):
    with pytest.raises(SettingInvalid) as caught:
        KeyTemplate.parse(template)
    assert message in str(caught.value)
    assert "LIPSYNC_RESULT_KEY_TEMPLATE" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"task": "../x"}, {"task": ""}, {"engine": "a/b"}, {"suffix": "mp4"}, {"task": "é"}]
)
def test_invalid_names_are_refused(changes):
    with pytest.raises(OptionInvalid):
        KeyTemplate.parse("{task}/{engine}{suffix}").render(result(**changes))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Größe & Müll.final.mp4", "Groe-Mull.final"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a b.avi", "a-b"),
        ("片.mp4", "video"),
        ("", "video"),
        ("...", "video"),
        ("con.mp4", "video"),
        (".hidden", "hidden"),
        ("x" * 300 + ".mp4", "x" * 64),
        ("{task}.mp4", "task"),
        ("a\0b\n.mp4", "a-b"),
    ],
)
def test_an_inputs_name_is_made_safe(name, stem):
    assert safe_stem(name) == stem


@pytest.mark.parametrize("key", ["a", "a/b.mp4", "ä b/+%&=?#.mp4", "x" * 255, "a-_.b", "/".join(["n" * 200] * 5)])
def test_a_valid_key(key):
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../a", ".incoming/x", "a/.b", "a\\b", "a\0b"),
        *("con", "NUL.mp4", "a/com1", "a.", "a ", "a\nb", "x" * 256, "/".join(["n" * 200] * 6), "\ud800", "é" * 128),
    ],
)
def test_every_other_key_is_refused(key):
    with pytest.raises(OptionInvalid):
        check_key(key)
