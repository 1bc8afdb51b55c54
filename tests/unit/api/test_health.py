from __future__ import annotations

import re

from lipsync.errors import StorageFailed
from lipsync.jobs.store import open_store

SAMPLE = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+')


class Full:
    """A storage that takes nothing."""

    def check(self) -> None:
        raise StorageFailed("the disk of /home/secret is away")


def test_a_process_that_is_up_says_so_to_everybody(house):
    answer = house.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_is_who_has_a_store_and_a_storage(house):
    assert house.client.get("/readyz").json() == {"status": "ok"}
    broken = house.over(storage=Full()).get("/readyz")
    assert (broken.status_code, broken.json()["code"]) == (503, "not_ready")
    assert broken.json()["detail"] == "no answer from: storage"
    assert broken.headers["retry-after"] == "5"
    with open_store(f"sqlite:///{house.folder}/nowhere/t.db") as away:
        both = house.over(storage=Full(), store=away).get("/readyz")
    assert both.json()["detail"] == "no answer from: task store, storage"


def test_numbers_for_prometheus(house):
    headers = house.key()
    house.new(headers)
    house.clock.on(seconds=7)
    house.client.get("/v1/tasks/one", headers=headers)
    house.client.get("/v1/tasks/two", headers=headers)
    house.client.get("/nowhere/one")
    answer = house.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'lipsync_tasks{status="queued"} 1' in lines
    assert "lipsync_oldest_waiting_seconds 7.0" in lines
    assert 'lipsync_http_requests_total{route="/v1/tasks",method="POST",status="201"} 1' in lines
    assert 'lipsync_http_requests_total{route="/v1/tasks/{task_id}",method="GET",status="404"} 2' in lines
    assert 'lipsync_http_requests_total{route="unknown",method="GET",status="404"} 1' in lines
    count = 'lipsync_http_request_duration_seconds_count{route="/v1/tasks",method="POST"} 1'
    assert count in lines
    assert count.replace("_count", "_bucket").replace('"}', '",le="+Inf"}') in lines
    assert all(SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))


def test_a_service_that_others_reach_shows_its_numbers_to_admins_alone(build):
    house = build(host="0.0.0.0")
    assert house.client.get("/metrics").status_code == 401
    assert house.client.get("/metrics", headers=house.key()).status_code == 403
    assert house.client.get("/metrics", headers=house.key("admin")).status_code == 200
