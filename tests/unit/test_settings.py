from __future__ import annotations

import pytest

from lipsync.errors import SettingInvalid
from lipsync.settings import Settings, load_settings, redacted, setting_infos


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run without a .env file and without LIPSYNC_* variables."""
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
    assert settings.task_timeout == 7200
    assert settings.input_buckets == ()
    assert (settings.upload_quota_bytes, settings.max_event_streams) == (50 << 30, 20)
    assert settings.address == "http://127.0.0.1:8000"


def test_the_environment_takes_precedence_over_the_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text('LIPSYNC_PORT=9000\nLIPSYNC_HOST="::1"\nLIPSYNC_INPUT_ALLOWED_HOSTS=10.0.0.0/8, x\n')
    monkeypatch.setenv("LIPSYNC_PORT", "9100")
    monkeypatch.setenv("LIPSYNC_MODELS", "/models")
    settings = load_settings()
    assert settings.address == "http://[::1]:9100"
    assert settings.input_allowed_hosts == ("10.0.0.0/8", "x")
    assert str(settings.models_dir) == "/models"


def test_arguments_take_precedence(monkeypatch):
    monkeypatch.setenv("LIPSYNC_PORT", "9100")
    assert load_settings(port=9200).port == 9200


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "http", "LIPSYNC_PORT"),
        ("PORT", "99999", "LIPSYNC_PORT"),
        ("STORAGE", "tape", "LIPSYNC_STORAGE"),
        ("DATABASE_URL", "mysql://x", "LIPSYNC_DATABASE_URL: must begin with sqlite: or postgresql:"),
        ("BROKER_URL", "kafka://x", "LIPSYNC_BROKER_URL: must begin with redis:"),
        ("URL_LIFETIME", "9999999", "LIPSYNC_URL_LIFETIME"),
    ],
)
def test_an_invalid_setting_is_named(monkeypatch, name, value, message):
    monkeypatch.setenv(f"LIPSYNC_{name}", value)
    with pytest.raises(SettingInvalid) as caught:
        load_settings()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_postgresql_means_the_driver_that_is_there():
    assert load_settings(database_url="postgresql://u:p@h/d").database == "postgresql+psycopg://u:p@h/d"


def test_every_setting_is_described_and_no_secret_is_shown():
    settings = load_settings(s3_secret_key="hush", broker_url="redis://u:hush@h:6379/0", database_url="sqlite:///x")
    infos = list(setting_infos())
    assert len(infos) == len(Settings.model_fields)
    assert all(info.description for info in infos)
    values = {info.variable: redacted(getattr(settings, info.field)) for info in infos}
    assert "hush" not in str(values)
    assert values["LIPSYNC_BROKER_URL"] == "redis://…@h:6379/0"
    assert values["LIPSYNC_S3_SECRET_KEY"] == "********"
    assert values["LIPSYNC_S3_ACCESS_KEY"] == ""
    assert values["LIPSYNC_MODELS"] == ""
    assert "hush" not in repr(load_settings(s3_secret_key="hush", broker_url="redis://u:hush@h"))


@pytest.mark.parametrize(
    ("variable", "default", "allowed"),
    [
        ("LIPSYNC_PORT", "8000", "0 to 65535"),
        ("LIPSYNC_MAX_ATTEMPTS", "3", "1 or more"),
        ("LIPSYNC_RETENTION_DAYS", "30", "more than 0"),
        ("LIPSYNC_LOG_FORMAT", "text", "text, json"),
        ("LIPSYNC_KEYS_REQUIRED", "true", ""),
        ("LIPSYNC_GPU", "", "0 or more"),
        ("LIPSYNC_INPUT_BUCKETS", "", ""),
    ],
)
def test_a_setting_states_its_default_and_its_range(variable, default, allowed):
    info = next(info for info in setting_infos() if info.variable == variable)
    assert (info.default, info.allowed) == (default, allowed)
