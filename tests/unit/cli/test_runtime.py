from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.cli import main
from lipsync.cli.runtime import MISSING_EXTRA, JsonLines
from lipsync.pipeline.job import EnhanceStatus
from lipsync.tasks.store import migrate, open_store
from lipsync.tasks.task import NewTask, Source, TaskFailure


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIPSYNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIPSYNC_DATA_DIR", str(tmp_path / "data"))
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_settings_are_listed_without_secrets(monkeypatch, capsys):
    monkeypatch.setenv("LIPSYNC_S3_SECRET_KEY", "hush")
    assert main(["settings"]) == 0
    output = capsys.readouterr().out
    assert "LIPSYNC_LEASE_SECONDS=60\n" in output
    assert "hush" not in output
    assert main(["settings", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["LIPSYNC_PORT"]["value"] == "8000"


def test_an_invalid_setting_is_reported_on_one_line(monkeypatch, capsys):
    monkeypatch.setenv("LIPSYNC_PORT", "high")
    assert main(["settings"]) == 60
    assert capsys.readouterr().err.count("\n") == 1


COMMANDS = ["serve", "worker", "settings", "keys list", "keys create ann", "tasks list", "tasks show x", "tasks prune"]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_without_the_service_extra_a_command_says_how_to_install_it(arguments):
    missing = "pydantic", "pydantic_settings", "sqlalchemy", "alembic", "fastapi", "uvicorn", "celery", "psycopg"
    code = f"import sys; sys.modules |= dict.fromkeys({missing}); from lipsync.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (43, "")
    assert done.stderr == f"lipsync: {MISSING_EXTRA} [extra_missing]\n"


def test_keys_are_created_listed_and_revoked(capsys):
    assert main(["keys", "create", "a person", "--scope", "admin", "--json"]) == 0
    key = json.loads(capsys.readouterr().out)
    assert key["secret"].startswith("lsk_")
    assert main(["keys", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["scopes"], row["revoked_at"]) == ("a person", ["admin"], None)
    assert main(["keys", "revoke", key["id"], "--json"]) == 0
    assert main(["keys", "revoke", key["id"]]) == 61
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out


def test_the_webhook_secret_is_printed_with_a_new_key_and_again(capsys, tmp_path):
    assert main(["keys", "create", "ann", "--json"]) == 0
    key = json.loads(capsys.readouterr().out)
    assert key["webhook_secret"].startswith("whsec_")
    assert (tmp_path / "data" / "secret").read_text() not in str(key)
    assert main(["keys", "webhook-secret", key["id"]]) == 0
    assert capsys.readouterr().out == key["webhook_secret"] + "\n"
    assert main(["keys", "webhook-secret", key["id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"webhook_secret": key["webhook_secret"]}
    assert main(["keys", "create", "bob"]) == 0
    captured = capsys.readouterr()
    assert (captured.out.startswith("lsk_"), "whsec_" in captured.out, "whsec_" in captured.err) == (True, False, True)
    assert key["webhook_secret"] not in captured.err
    assert main(["keys", "webhook-secret"]) == 0
    assert capsys.readouterr().out not in (key["webhook_secret"] + "\n", "\n")
    assert main(["keys", "webhook-secret", "unknown"]) == 61


def test_tasks_are_listed_and_changed(capsys, tmp_path):
    from lipsync.bootstrap import now, open_tasks
    from lipsync.settings import load_settings
    from lipsync.tasks.task import NewTask, Source

    with open_tasks(load_settings()) as store:
        source = Source("url", "https://example.org/a.mp4")
        task = store.create(NewTask(source, source, ("rewrite",), {}), now=now())
    assert main(["tasks", "list", "--status", "queued"]) == 0
    assert task.id in capsys.readouterr().out
    assert main(["tasks", "cancel", task.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "cancelled"
    assert main(["tasks", "retry", task.id]) == 0
    assert "queued" in capsys.readouterr().out
    assert main(["tasks", "show", task.id]) == 0
    assert "https://example.org/a.mp4" in capsys.readouterr().out
    assert main(["tasks", "show", "unknown"]) == 61
    assert main(["tasks", "list", "--status", "sleeping"]) == 24
    assert main(["tasks", "prune", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"pruned": 0}


def test_a_tasks_enhancement_is_shown(capsys, tmp_path):
    source, now = Source("url", "http://a.example/v"), datetime.now(UTC)
    migrate(f"sqlite:///{tmp_path / 'data' / 'tasks.db'}")
    with open_store(f"sqlite:///{tmp_path / 'data' / 'tasks.db'}") as store:
        task = store.create(NewTask(source, source, ("passthrough",), {"upscale": "2"}), now=now)
        store.claim(task.id, "w", timedelta(minutes=1), now)
        store.set_enhancement(task.id, "w", EnhanceStatus.PROCESSING, None, now)
        store.set_enhancement(task.id, "w", EnhanceStatus.FAILED, TaskFailure("out_of_memory", "full", False), now)
    for flags in (["--json"], []):
        assert main(["tasks", "show", task.id, *flags]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    enhancement = json.loads(first)["enhancement"]
    assert (enhancement["status"], enhancement["finished_at"]) == ("failed", now.isoformat())
    assert any(line.startswith("enhancement") and "out_of_memory" in line for line in rest)


def test_a_log_record_as_json():
    record = logging.LogRecord("lipsync.x", logging.WARNING, "", 0, "task %s: %s", ("7", "lost"), None)
    record.task = "7"
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["message"], line["task"]) == ("warning", "task 7: lost", "7")
    assert line["time"].endswith("+00:00")
