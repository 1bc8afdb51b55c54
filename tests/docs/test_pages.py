"""The guides agree with the code."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lipsync.cli.exit_codes import EXIT_CODES
from lipsync.settings import Settings
from lipsync.tasks.secrets import webhook_secret
from lipsync.tasks.webhooks import webhook_headers

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
SETTING = re.compile(r"\bLIPSYNC_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
OF_CLIENTS_AND_TESTS = {"LIPSYNC_API_KEY", "LIPSYNC_REQUIRE_SERVICES", "LIPSYNC_S3"}  # the last stands for LIPSYNC_S3_*


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = {f"LIPSYNC_{name.upper()}" for name in Settings.model_fields}
    known |= {
        str(choice)
        for field in Settings.model_fields.values()
        for choice in getattr(field.validation_alias, "choices", ())
    }
    assert set(SETTING.findall(page.read_text(encoding="utf-8"))) - OF_CLIENTS_AND_TESTS <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_operators_guide_says_who_acts_on_every_code_of_a_task() -> None:
    named = set(re.findall(r"`([a-z_]+)`", read("docs/how-to/operate.md")))
    never_of_a_task = {"task_missing", "transition_forbidden", "lease_lost", "setting_invalid"}
    assert {error.code for error in EXIT_CODES} - never_of_a_task | {"bug"} <= named


def test_the_sample_receiver_accepts_our_calls_alone() -> None:
    defined: dict[str, Any] = {}
    exec(re.search(r"```python\n(.+?)```", read("docs/how-to/service.md"), re.DOTALL)[1], defined)  # type: ignore[index]
    is_authentic, now, body = defined["is_authentic"], datetime.now(UTC), b'{"event":"task.completed"}'
    secret = webhook_secret("secret", "k1")
    headers = webhook_headers(secret, "one", "task.completed", body, now)
    assert is_authentic(secret, headers, body)
    assert not is_authentic("secret", headers, body)
    assert not is_authentic(webhook_secret("secret", "k2"), headers, body)
    assert not is_authentic(secret, headers, body + b" ")
    old = headers | {"Lipsync-Timestamp": str(int(headers["Lipsync-Timestamp"]) - 1000)}
    assert not is_authentic(secret, old, body)


def test_the_readme_has_at_most_900_words() -> None:
    assert len(read("README.md").split()) <= 900


def test_the_animation_is_below_1_5_mb() -> None:
    assert (ROOT / "docs/before-after.webp").stat().st_size < 1_500_000
