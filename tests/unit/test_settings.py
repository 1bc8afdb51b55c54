from __future__ import annotations

import pytest

from lipsync.errors import SettingInvalid
from lipsync.settings import Settings, described, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No .env of somebody's, and nothing set."""
    import os

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIPSYNC_")]:
        monkeypatch.delenv(name)


def test_without_anything_set_it_is_one_machine_with_its_data_in_one_folder(tmp_path):
    settings = load_settings(data_dir=tmp_path)
    assert settings.database == f"sqlite:///{tmp_path / 'tasks.db'}"
    assert settings.broker_url == ""
    assert settings.storage == "local"
    assert settings.keys_required
    assert settings.task_seconds == 7200
    assert settings.input_buckets == ()
    assert (settings.uploads_bytes, settings.event_streams) == (50 << 30, 20)
    assert settings.address == "http://127.0.0.1:8000"


def test_the_environment_counts_more_than_the_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text('LIPSYNC_PORT=9000\nLIPSYNC_HOST="::1"\nLIPSYNC_INPUT_ALLOWED_HOSTS=10.0.0.0/8, x\n')
    monkeypatch.setenv("LIPSYNC_PORT", "9100")
    monkeypatch.setenv("LIPSYNC_MODELS", "/models")
    settings = load_settings()
    assert settings.address == "http://[::1]:9100"
    assert settings.input_allowed_hosts == ("10.0.0.0/8", "x")
    assert str(settings.models_dir) == "/models"


def test_what_is_given_counts_most(monkeypatch):
    monkeypatch.setenv("LIPSYNC_PORT", "9100")
    assert load_settings(port=9200).port == 9200


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "http", "LIPSYNC_PORT"),
        ("PORT", "99999", "LIPSYNC_PORT"),
        ("STORAGE", "tape", "LIPSYNC_STORAGE"),
        ("DATABASE_URL", "mysql://x", "LIPSYNC_DATABASE_URL: has to begin with sqlite: or postgresql:"),
        ("BROKER_URL", "kafka://x", "LIPSYNC_BROKER_URL: has to begin with redis:"),
        ("URL_LIFETIME", "9999999", "LIPSYNC_URL_LIFETIME"),
    ],
)
def test_a_wrong_one_is_told_by_its_name(monkeypatch, name, value, told):
    monkeypatch.setenv(f"LIPSYNC_{name}", value)
    with pytest.raises(SettingInvalid) as caught:
        load_settings()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_postgresql_means_the_driver_that_is_there():
    assert load_settings(database_url="postgresql://u:p@h/d").database == "postgresql+psycopg://u:p@h/d"


def test_every_one_is_described_and_no_secret_is_shown():
    rows = described(
        load_settings(s3_secret_key="hush", broker_url="redis://u:hush@h:6379/0", database_url="sqlite:///x")
    )
    assert len(rows) == len(Settings.model_fields)
    assert all(purpose for _, purpose in rows.values())
    assert "hush" not in str(rows)
    assert rows["LIPSYNC_BROKER_URL"][0] == "redis://…@h:6379/0"
    assert rows["LIPSYNC_S3_ACCESS_KEY"][0] == ""
    assert rows["LIPSYNC_MODELS"][0] == ""
    assert "hush" not in repr(load_settings(s3_secret_key="hush", broker_url="redis://u:hush@h"))
