"""Container files, checked as far as possible without containers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lipsync.settings import load_settings, setting_infos

yaml = pytest.importorskip("yaml", reason="needs PyYAML")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = ("compose.yaml", "Dockerfile.cpu", "Dockerfile.cuda", "env.example")
NAME = re.compile(r"LIPSYNC_[A-Z0-9_]*[A-Z0-9]")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)")
OURS = ("api", "worker", "worker-cuda", "bucket")
PUBLISHED = {"api": "8000", "minio": "9000"}


@pytest.fixture
def settings_names() -> set[str]:
    return {info.variable for info in setting_infos()}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8")))


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    lines = (DEPLOY / "env.example").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("file", FILES)
def test_every_named_setting_exists(file, settings_names):
    assert set(NAME.findall((DEPLOY / file).read_text("utf-8"))) <= settings_names


def test_every_variable_of_compose_is_in_the_example_or_optional(example):
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert set(VARIABLE.findall(text)) - {"MINIO_IMAGE"} <= set(example)


def test_no_file_contains_a_secret(example):
    secrets = {name for name in example if name.endswith(("PASSWORD", "SECRET"))}
    assert secrets == {"POSTGRES_PASSWORD", "MINIO_ROOT_PASSWORD", "LIPSYNC_SECRET"}
    assert not any(example[name] for name in secrets)
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert not [line for line in text.splitlines() if re.search(r"(PASSWORD|SECRET\w*): (?!\$\{\w+:\?)", line)]


def test_the_settings_of_compose_are_accepted(compose, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled = {name: value or "0123456789abcdef" for name, value in example.items()}
    for service in ("api", "worker", "worker-cuda"):
        environment = filled | compose["services"][service]["environment"]
        for name, value in environment.items():
            if name.startswith("LIPSYNC_"):
                plain = re.sub(r"\$\{(\w+)(?::[-?][^}]*)?\}", lambda found: filled[found[1]], str(value))
                monkeypatch.setenv(name, plain)
        settings = load_settings()
        assert settings.database.startswith("postgresql+psycopg://lipsync:0123456789abcdef@postgres")
        assert (settings.storage, settings.host) == ("s3", "0.0.0.0")


def test_only_the_api_and_the_results_are_published_on_loopback_by_default(compose, example):
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert {name: [port.rsplit(":", 1)[1] for port in published] for name, published in ports.items()} == {
        name: [port] for name, port in PUBLISHED.items()
    }
    assert all(":-127.0.0.1:" in port for published in ports.values() for port in published)
    assert example["API_LISTEN"].startswith("127.0.0.1:")
    assert example["MINIO_LISTEN"].startswith("127.0.0.1:")


def test_every_service_is_limited_unprivileged_and_restarted(compose):
    for name, service in compose["services"].items():
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == ("on-failure" if name == "bucket" else "unless-stopped"), name
    assert all("healthcheck" in service for name, service in compose["services"].items() if name != "api")
    assert all(compose["services"][name]["read_only"] for name in OURS)


@pytest.mark.parametrize("file", ["Dockerfile.cpu", "Dockerfile.cuda"])
def test_images_do_not_run_as_root_and_copy_allowed_files_only(file):
    text = (DEPLOY / file).read_text("utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert "\nUSER 10001\n" in last
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert {name for names in copied for name in names} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_bucket_is_created_once(compose):
    moto = pytest.importorskip("moto.server", reason="needs moto's server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        settings = {"BUCKET": "made", "REGION": "us-east-1", "ACCESS_KEY": "a", "SECRET_KEY": "b"}
        settings["ENDPOINT"] = f"http://{host}:{port}"
        environment = {f"LIPSYNC_S3_{name}": value for name, value in settings.items()}
        script = compose["services"]["bucket"]["command"][0]
        for _ in range(2):
            call = [sys.executable, "-c", script]
            done = subprocess.run(call, env=os.environ | environment, capture_output=True, text=True, timeout=60)
            assert (done.returncode, done.stdout) == (0, "bucket made is ready\n"), done.stderr
    finally:
        server.stop()
