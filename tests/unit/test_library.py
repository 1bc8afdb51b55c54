"""``lipsync.sync()`` and the names that the package exports."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap

import pytest

import lipsync
from lipsync.pipeline import build_job, run
from lipsync.pipeline.options import OPTIONS

OWN = ["video", "audio", "output", "on_progress", "monitor"]
FOREIGN = {"Callable", "Fraction", "Literal", "None", "Path", "Sequence", "bool", "float", "int", "str"}


def test_the_signature_has_every_option_in_the_order_of_the_table():
    parameters = inspect.signature(lipsync.sync).parameters
    assert [name for name in parameters if name not in OWN] == list(OPTIONS)
    for name, option in OPTIONS.items():
        assert option.checked(parameters[name].default) == option.checked(option.default), name


def test_the_docstring_describes_every_option_as_the_table_does():
    document = inspect.getdoc(lipsync.sync)
    for option in OPTIONS.values():
        assert f"\n{paragraph(f'{option.name}: {option.full_help}')}\n" in document, option.name


def paragraph(text: str) -> str:
    return textwrap.fill(text, 116, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)


def test_every_option_reaches_the_job(monkeypatch):
    reached = {}
    monkeypatch.setattr(build_job, "build_job", lambda *files, **options: reached.update(options))
    monkeypatch.setattr(run, "run", lambda job, monitor: None)
    marks = {name: object() for name in OPTIONS}
    lipsync.sync("v.mp4", "a.wav", "o.mp4", **marks)
    assert reached == marks


@pytest.mark.parametrize(
    "options",
    [
        {"photo_rate": 0},
        {"engine": "passthrough", "face_select": "nicest"},
        {"crf": 99},
        {"av_offset": 99_999},
        {"offset_copies": [0]},
    ],
)
def test_bad_values_raise_before_any_work(options, tmp_path):
    with pytest.raises(lipsync.OptionInvalid, match=f"invalid {list(options)[-1]}"):
        lipsync.sync(tmp_path / "v.mp4", tmp_path / "a.wav", tmp_path / "o.mp4", **options)


def test_the_package_exports_the_types_of_its_signatures():
    signatures = [lipsync.sync, lipsync.Monitor, lipsync.Monitor.call, lipsync.Monitor.report]
    text = " ".join(str(inspect.signature(function)) for function in signatures)
    types = set(re.findall(r"(?:: |-> |\[|\| )'?([A-Z]\w+|bool|float|int|str)", text))
    assert types - FOREIGN <= set(lipsync.__all__)
    for record in (lipsync.Result, lipsync.EngineResult, lipsync.Enhanced, lipsync.Inputs):
        text = " ".join(map(str, record.__annotations__.values()))
        names = set(re.findall(r"[A-Z]\w+", text))
        assert names - FOREIGN - {"Mapping"} <= set(lipsync.__all__), record


def test_every_export_exists():
    assert all(getattr(lipsync, name) is not None for name in lipsync.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = lipsync.nothing


def test_importing_the_package_is_light():
    code = "import sys, lipsync, lipsync.cli; print([n for n in ('numpy', 'typing', 'pathlib') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-S", "-I", "-c", path_of() + code], text=True).strip() == "[]"


def path_of() -> str:
    from pathlib import Path

    return f"import sys; sys.path.insert(0, {str(Path(lipsync.__file__).parents[1])!r}); "
