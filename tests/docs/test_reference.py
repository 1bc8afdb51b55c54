"""The generated reference pages are those that the code would generate now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("fastapi", reason="the REST reference needs the service extra")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs/reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = ["cli.md", "errors.md", "events.md", "options.md", "python.md", "rest.md", "settings.md"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(generator: ModuleType, name: str) -> None:
    committed = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert committed == generator.PAGES[name](), "run scripts/docs and commit the pages"
