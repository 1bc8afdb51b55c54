"""``lipsync models`` where nothing is converted; tests/integration/test_import.py does that."""

from __future__ import annotations

import json
import sys

import pytest

from lipsync.cli import main
from lipsync.models.catalogue import CATALOGUE, RESEARCH_ONLY
from lipsync.models.store import Store

HTML = "<!doctype html><html></html>"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_list_has_a_line_for_each_with_its_license(folder, capsys):
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, entry.kind] for name, entry in CATALOGUE.items()]
    assert all(line.endswith(entry.license) for line, entry in zip(lines, CATALOGUE.values(), strict=True))
    assert all("missing" in line for line in lines)
    assert "436 MB" in lines[0]
    assert len({line.index("missing") for line in lines}) == 1
    assert not folder.exists()


def test_the_list_for_programs(folder, capsys):
    assert main(["models", "list", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert listing["folder"] == str(folder)
    assert {model["name"]: (model["kind"], model["state"], model["accepted"]) for model in listing["models"]} == {
        name: (entry.kind, "missing", False) for name, entry in CATALOGUE.items()
    }


def test_an_option_overrides_the_environment(folder, tmp_path, capsys):
    assert main(["models", "where", "--models-dir", str(tmp_path / "other")]) == 0
    assert main(["models", "where"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "other"), str(folder)]


def test_a_license_is_shown_and_must_be_accepted(folder, capsys):
    assert main(["models", "fetch", "wav2lip"]) == 49
    out, err = capsys.readouterr()
    assert RESEARCH_ONLY in out
    assert "--accept-license" in err
    assert not folder.exists()


def test_without_onnx_nothing_is_downloaded(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["models", "fetch", "wav2lip", "--accept-license"]) == 43
    assert "lip-sync-service[wav2lip]" in capsys.readouterr().err
    assert Store(folder).is_license_accepted("wav2lip")
    assert not Store(folder).is_present("wav2lip")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fetch", "nonsense"], 40, "expected one of wav2lip, wav2lip-gan"),
        (["verify", "wav2lip"], 40, "models list"),
        (["verify", "nonsense"], 40, "expected one of"),
        (["remove", "nonsense"], 40, "not installed"),
        (["where", "wav2lip"], 40, "models list"),
        (["import", "gone.pth"], 40, "no such file"),
        (["import", "."], 11, "not a file"),
    ],
)
def test_a_missing_model(folder, capsys, arguments, code, message):
    assert main(["models", *arguments]) == code
    assert message in capsys.readouterr().err
    assert main(["models", *arguments, "--json"]) == code
    assert message in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_web_page_that_was_saved_as_weights(folder, tmp_path, capsys):
    (tmp_path / "wav2lip.pth").write_text(HTML)
    assert main(["models", "import", str(tmp_path / "wav2lip.pth")]) == 44
    assert "web page" in capsys.readouterr().err


def test_verifying_an_empty_store(folder, capsys):
    assert main(["models", "verify"]) == 0
    assert "no models installed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["models"], ["models", "fetch"], ["models", "nonsense"]])
def test_a_wrong_command_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
