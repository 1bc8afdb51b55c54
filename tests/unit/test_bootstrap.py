"""Resources that the service's entry points open from the settings."""

from __future__ import annotations

import re

from lipsync.bootstrap import open_storage, open_tasks, secret_of
from lipsync.settings import Settings
from lipsync.storage.base import LocalOptions
from lipsync.storage.local import LocalStorage
from lipsync.tasks.secrets import link_secret
from lipsync.tasks.task import Status


def settings(folder, **given) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **given)


def test_the_task_store_is_opened_with_its_schema(tmp_path):
    with open_tasks(settings(tmp_path / "data")) as store:
        assert store.counts()[Status.QUEUED] == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_links_are_signed_with_a_derived_secret(tmp_path):
    configured = settings(tmp_path, secret="geheim")
    key = "2026/x.mp4"
    with open_storage(configured) as storage:
        address = storage.url(key)
    expires = int(re.search(r"expires=([0-9]+)", address)[1])

    def link(secret: str) -> str:
        options = LocalOptions(tmp_path / "results", configured.address, secret, 60)
        return LocalStorage(options, now=lambda: float(expires - 60)).url(key)

    assert link(link_secret("geheim")) == address
    assert link("geheim") != address


def test_a_secret_is_generated_once_and_readable_by_its_owner_alone(tmp_path):
    generated = secret_of(settings(tmp_path))
    assert len(generated) >= 43
    assert secret_of(settings(tmp_path)) == generated
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    assert secret_of(settings(tmp_path, secret="geheim")) == "geheim"
