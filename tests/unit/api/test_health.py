from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lipsync.api.state import FRESH, PATIENCE
from lipsync.errors import StorageFailed
from lipsync.tasks.store import open_store

SAMPLE = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+')
NEAR = {"Host": "127.0.0.1:8000"}


class Full:
    """A storage that takes nothing, until it is well."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem or StorageFailed("the disk of /home/secret is away")

    def check(self) -> None:
        if self.problem is not None:
            raise self.problem


class Slow:
    """A storage that answers when it may, and counts who asks."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.count = 0
        self.may = threading.Event()

    def check(self) -> None:
        self.count += 1
        self.asked.release()
        assert self.may.wait(10)


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


def test_whoever_asks_the_storage_is_asked_every_few_seconds_at_most(house):
    storage = Slow()
    storage.may.set()
    client = house.over(storage=storage)
    assert [client.get("/readyz").status_code for _ in range(5)] == [200] * 5
    assert storage.count == 1
    house.clock.on(seconds=FRESH.total_seconds())
    client.get("/readyz")
    assert storage.count == 2
    house.clock.on(days=-1)
    client.get("/readyz")
    assert storage.count == 3


def test_what_was_seen_is_told_for_a_few_seconds_also_if_it_is_bad(house):
    client = house.over(storage=(storage := Full()))
    assert client.get("/readyz").status_code == 503
    storage.problem = None
    assert client.get("/readyz").status_code == 503
    house.clock.on(seconds=FRESH.total_seconds())
    assert client.get("/readyz").status_code == 200


def test_one_asks_a_storage_that_hangs_and_the_others_do_not_wait(house):
    storage = Slow()
    client = house.over(storage=storage)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, "/readyz")
        assert storage.asked.acquire(timeout=10)
        assert {client.get("/readyz").status_code for _ in range(50)} == {200}
        house.clock.on(seconds=PATIENCE.total_seconds())
        assert client.get("/readyz").json()["detail"] == "no answer from: storage"
        assert storage.count == 1
        storage.may.set()
        assert first.result(10).status_code == 200
    assert client.get("/readyz").status_code == 200
    assert storage.count == 1


def test_a_fault_is_not_kept(house):
    client = house.over(storage=(storage := Full(ZeroDivisionError())))
    assert [client.get("/readyz").status_code for _ in range(2)] == [500, 500]
    storage.problem = None
    assert client.get("/readyz").status_code == 200


def test_numbers_for_prometheus(house):
    headers = house.key()
    house.new(headers)
    house.clock.on(seconds=7)
    house.client.get("/v1/tasks/one", headers=headers)
    house.client.get("/v1/tasks/two", headers=headers)
    house.client.get("/nowhere/one")
    answer = house.client.get("/metrics", headers=NEAR)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'lipsync_tasks{status="queued"} 1' in lines
    assert 'lipsync_enhancements{step="failed"} 0' in lines
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


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1:x"}, NEAR | {"X-Forwarded-For": "198.51.100.7"}]
)
def test_a_service_behind_a_proxy_shows_its_numbers_to_admins_alone(house, headers):
    assert house.client.get("/metrics", headers=headers).status_code == 401
    assert house.client.get("/metrics", headers=headers | house.key("admin")).status_code == 200
