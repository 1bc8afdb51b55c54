"""What a worker has, as the settings say."""

from __future__ import annotations

import re

from lipsync.settings import Settings
from lipsync.storage.base import LocalOptions
from lipsync.storage.local import LocalStorage
from lipsync.tasks.secrets import link_secret
from lipsync.worker.context import open_storage, secret_of, worker_context


def settings(folder, **given) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **given)


def test_a_workers_name_tells_nothing_of_its_machine_and_is_another_each_time(tmp_path):
    names = set()
    for _ in range(2):
        with worker_context(settings(tmp_path)) as at:
            names.add(at.worker)
    assert len(names) == 2
    for name in names:
        assert re.fullmatch(r"worker-[0-9a-f]{8}", name)


def test_a_worker_reads_the_buckets_that_the_settings_name_and_no_other(tmp_path):
    with worker_context(settings(tmp_path)) as at:
        assert at.transport.s3.buckets == ()
    with worker_context(settings(tmp_path, input_buckets="films, voices")) as at:
        assert at.transport.s3.buckets == ("films", "voices")


def test_links_are_signed_with_what_is_made_of_the_secret(tmp_path):
    told = settings(tmp_path, secret="geheim")
    key = "2026/x.mp4"
    with open_storage(told) as storage:
        address = storage.url(key)
    expires = int(re.search(r"expires=([0-9]+)", address)[1])

    def link(secret: str) -> str:
        options = LocalOptions(tmp_path / "results", told.address, secret, 60)
        return LocalStorage(options, now=lambda: float(expires - 60)).url(key)

    assert link(link_secret("geheim")) == address
    assert link("geheim") != address


def test_a_secret_is_made_once_and_is_for_its_owner_alone(tmp_path):
    made = secret_of(settings(tmp_path))
    assert len(made) >= 43
    assert secret_of(settings(tmp_path)) == made
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    assert secret_of(settings(tmp_path, secret="geheim")) == "geheim"
