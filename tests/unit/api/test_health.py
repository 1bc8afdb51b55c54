from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lipsync.api.state import READINESS_CACHE, READINESS_TIMEOUT
from lipsync.errors import StorageFailed
from lipsync.tasks.store import open_store

SAMPLE = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+')
LOCAL = {"Host": "127.0.0.1:8000"}


class FailingStorage:
    """A storage whose check fails until its error is removed."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem or StorageFailed("the disk of /home/secret is missing")

    def check(self) -> None:
        if self.problem is not None:
            raise self.problem


class HangingStorage:
    """A storage whose check blocks until released, and counts its calls."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.count = 0
        self.may = threading.Event()

    def check(self) -> None:
        self.count += 1
        self.asked.release()
        assert self.may.wait(10)


def test_the_health_check_needs_no_key(service):
    answer = service.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readiness_needs_the_store_and_the_storage(service):
    assert service.client.get("/readyz").json() == {"status": "ok"}
    broken = service.client_with(storage=FailingStorage()).get("/readyz")
    assert (broken.status_code, broken.json()["code"]) == (503, "not_ready")
    assert broken.json()["detail"] == "no response from: storage"
    assert broken.headers["retry-after"] == "5"
    with open_store(f"sqlite:///{service.folder}/nowhere/t.db") as away:
        both = service.client_with(storage=FailingStorage(), store=away).get("/readyz")
    assert both.json()["detail"] == "no response from: task store, storage"


def test_the_storage_is_checked_every_few_seconds_at_most(service):
    storage = HangingStorage()
    storage.may.set()
    client = service.client_with(storage=storage)
    assert [client.get("/readyz").status_code for _ in range(5)] == [200] * 5
    assert storage.count == 1
    service.clock.advance(seconds=READINESS_CACHE.total_seconds())
    client.get("/readyz")
    assert storage.count == 2
    service.clock.advance(days=-1)
    client.get("/readyz")
    assert storage.count == 3


def test_a_failing_check_is_cached_too(service):
    client = service.client_with(storage=(storage := FailingStorage()))
    assert client.get("/readyz").status_code == 503
    storage.problem = None
    assert client.get("/readyz").status_code == 503
    service.clock.advance(seconds=READINESS_CACHE.total_seconds())
    assert client.get("/readyz").status_code == 200


def test_a_hanging_storage_blocks_one_request_only(service):
    storage = HangingStorage()
    client = service.client_with(storage=storage)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, "/readyz")
        assert storage.asked.acquire(timeout=10)
        assert {client.get("/readyz").status_code for _ in range(50)} == {200}
        service.clock.advance(seconds=READINESS_TIMEOUT.total_seconds())
        assert client.get("/readyz").json()["detail"] == "no response from: storage"
        assert storage.count == 1
        storage.may.set()
        assert first.result(10).status_code == 200
    assert client.get("/readyz").status_code == 200
    assert storage.count == 1


def test_an_unexpected_exception_is_not_cached(service):
    client = service.client_with(storage=(storage := FailingStorage(ZeroDivisionError())))
    assert [client.get("/readyz").status_code for _ in range(2)] == [500, 500]
    storage.problem = None
    assert client.get("/readyz").status_code == 200


def test_metrics_in_prometheus_format(service):
    headers = service.key()
    service.create_task(headers)
    service.clock.advance(seconds=7)
    service.client.get("/v1/tasks/one", headers=headers)
    service.client.get("/v1/tasks/two", headers=headers)
    service.client.get("/nowhere/one")
    answer = service.client.get("/metrics", headers=LOCAL)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'lipsync_tasks{status="queued"} 1' in lines
    assert 'lipsync_enhancements{status="failed"} 0' in lines
    assert "lipsync_oldest_waiting_seconds 7.0" in lines
    assert 'lipsync_http_requests_total{route="/v1/tasks",method="POST",status="201"} 1' in lines
    assert 'lipsync_http_requests_total{route="/v1/tasks/{task_id}",method="GET",status="404"} 2' in lines
    assert 'lipsync_http_requests_total{route="unknown",method="GET",status="404"} 1' in lines
    count = 'lipsync_http_request_duration_seconds_count{route="/v1/tasks",method="POST"} 1'
    assert count in lines
    assert count.replace("_count", "_bucket").replace('"}', '",le="+Inf"}') in lines
    assert all(SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))


def test_metrics_of_a_public_service_are_for_admins_only(build):
    service = build(host="0.0.0.0")
    assert service.client.get("/metrics").status_code == 401
    assert service.client.get("/metrics", headers=service.key()).status_code == 403
    assert service.client.get("/metrics", headers=service.key("admin")).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1:x"}, LOCAL | {"X-Forwarded-For": "198.51.100.7"}]
)
def test_metrics_behind_a_proxy_are_for_admins_only(service, headers):
    assert service.client.get("/metrics", headers=headers).status_code == 401
    assert service.client.get("/metrics", headers=headers | service.key("admin")).status_code == 200
