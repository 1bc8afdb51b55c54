"""The schema, and database URLs that cannot be used."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from lipsync.errors import SettingInvalid, StorageFailed
from lipsync.tasks.database import open_database, writing_engine
from lipsync.tasks.store import migrate, open_store
from lipsync.tasks.tables import Base
from lipsync.tasks.task import Status

MIGRATE = "import sys; from lipsync.tasks.store import migrate; print('ready', flush=True); sys.stdin.readline(); "


def test_a_migrated_database_matches_the_tables(empty_url):
    migrate(empty_url)
    migrate(empty_url)
    with open_database(empty_url) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_processes_that_start_at_the_same_time_create_one_schema(empty_url):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    code = f"{MIGRATE} migrate(sys.argv[1])"
    starters = [subprocess.Popen([sys.executable, "-c", code, empty_url], **pipes) for _ in range(4)]
    for starter in starters:
        starter.stdout.readline()
    for starter in starters:
        starter.stdin.write("go\n")
        starter.stdin.flush()
    errors = [starter.communicate(timeout=60)[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 4, errors
    with open_store(empty_url) as store:
        assert store.counts()[Status.QUEUED] == 0


def test_an_aborted_migration_leaves_nothing(empty_url, tmp_path):
    (tmp_path / "folder").mkdir()
    config = Config()
    config.set_main_option("script_location", "lipsync.tasks:migrations")
    with open_database(empty_url) as engine:
        with writing_engine(engine).connect() as connection, connection.begin() as transaction:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            assert "tasks" in inspect(connection).get_table_names()
            transaction.rollback()
        assert inspect(engine).get_table_names() == []


def downgrade(connection, revision):
    config = Config()
    config.set_main_option("script_location", "lipsync.tasks:migrations")
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


def test_every_migration_can_be_reverted(empty_url):
    migrate(empty_url)
    with open_database(empty_url) as engine:
        with writing_engine(engine).begin() as connection:
            downgrade(connection, "base")
        assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(empty_url)


def test_stored_options_get_their_current_names(empty_url, new, now):
    migrate(empty_url)
    old = {"faithful": True, "select": "left", "crf": None}
    with open_store(empty_url) as store:
        task = store.create(replace(new, options=old), now=now)
        with open_database(empty_url) as engine, writing_engine(engine).begin() as connection:
            downgrade(connection, "0003")
            connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
        migrate(empty_url)
        assert store.get(task.id).options == {"original": True, "face_select": "left", "crf": None}


def test_a_schema_from_the_future_is_refused(empty_url):
    migrate(empty_url)
    with open_database(empty_url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingInvalid, match="another version"):
        migrate(empty_url)


def test_a_database_without_the_schema_is_reported(empty_url, tmp_path):
    (tmp_path / "folder").mkdir()
    with open_store(empty_url) as store, pytest.raises(StorageFailed, match="tasks"):
        store.get("x")


def test_sqlite_writes_ahead_and_waits_for_other_writers(tmp_path):
    migrate(f"sqlite:///{tmp_path}/tasks.db")
    with closing(sqlite3.connect(tmp_path / "tasks.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with open_database(f"sqlite:///{tmp_path}/tasks.db") as engine, engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
    with open_database(f"sqlite:///{tmp_path}/tasks.db") as engine:
        for durable, mode in ((True, 2), (False, 1), (True, 2)):
            with writing_engine(engine, durable).connect() as connection:
                assert connection.execute(text("PRAGMA synchronous")).scalar() == mode
                assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000


@pytest.mark.parametrize("address", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "://"])
def test_an_unusable_url_is_reported_without_its_password(address):
    with pytest.raises(SettingInvalid, match="the task store") as caught:
        migrate(address)
    assert "secret" not in str(caught.value)


def test_an_unavailable_server_is_a_retryable_error():
    address = "postgresql://u:secret@127.0.0.1:9/d"
    with pytest.raises(StorageFailed, match="did not answer") as caught:
        migrate(address)
    assert caught.value.retryable
    with open_store(address) as store, pytest.raises(StorageFailed, match="refused") as caught:
        store.counts()
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageFailed, match="cannot create"):
        migrate(f"sqlite:///{tmp_path}/file/tasks.db")


def test_a_file_that_is_not_a_database(tmp_path):
    (tmp_path / "tasks.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StorageFailed, match="not a database"):
        migrate(f"sqlite:///{tmp_path}/tasks.db")


def test_connections_that_the_server_closed_are_replaced(postgres_url):
    migrate(postgres_url)
    name = f"cut_{secrets.token_hex(6)}"
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name"
    with open_store(f"{postgres_url}&application_name={name}") as store, open_database(postgres_url) as engine:
        store.counts()
        with engine.connect() as connection:
            assert connection.execute(text(cut), {"name": name}).scalar() == 1
        assert store.counts()[Status.QUEUED] == 0


def test_a_writer_waits_for_another_one(tmp_path, new, now):
    migrate(f"sqlite:///{tmp_path}/tasks.db")
    with closing(sqlite3.connect(tmp_path / "tasks.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["COMMIT"])
        timer.start()
        with open_store(f"sqlite:///{tmp_path}/tasks.db") as store:
            assert store.counts()[Status.QUEUED] == 0  # readers do not wait
            assert timer.is_alive()
            store.create(new, now=now)
            assert store.counts()[Status.QUEUED] == 1
        timer.join()
