"""A worker's resources and limits, as the settings define them."""

from __future__ import annotations

import re

from lipsync.settings import Settings
from lipsync.tasks.task import Status
from lipsync.worker.context import time_limits, worker_context


def settings(folder, **given) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **given)


def test_a_workers_name_reveals_nothing_about_its_machine_and_is_unique(tmp_path):
    names = set()
    for _ in range(2):
        with worker_context(settings(tmp_path)) as context:
            names.add(context.worker)
    assert len(names) == 2
    for name in names:
        assert re.fullmatch(r"worker-[0-9a-f]{8}", name)


def test_a_worker_reads_the_buckets_that_the_settings_name_and_no_other(tmp_path):
    with worker_context(settings(tmp_path)) as context:
        assert context.transport.s3.buckets == ()
    with worker_context(settings(tmp_path, input_buckets="films, voices")) as context:
        assert context.transport.s3.buckets == ("films", "voices")


def test_only_statuses_with_a_setting_have_their_own_time_limit(tmp_path):
    limits = time_limits(settings(tmp_path, task_timeout=100, enhancing_timeout=20, kill_grace_seconds=5))
    assert (limits.task, limits.grace) == (100, 5)
    assert limits.by_status[Status.ENHANCING] == 20
    assert Status.PROCESSING not in limits.by_status
