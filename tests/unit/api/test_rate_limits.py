from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lipsync.api.errors import ApiError
from lipsync.api.rate_limits import ConcurrencyLimiter, RateLimiter


def test_a_bucket_refills_at_its_rate():
    limiter = RateLimiter(per_minute=2)
    limiter.acquire("a", 0)
    limiter.acquire("a", 0)
    with pytest.raises(ApiError) as caught:
        limiter.acquire("a", 10)
    assert caught.value.headers == {"Retry-After": "20"}
    limiter.acquire("b", 10)
    limiter.acquire("a", 31)
    with pytest.raises(ApiError):
        limiter.acquire("a", 31)


def test_a_clock_set_back_does_not_change_the_bucket():
    limiter = RateLimiter(per_minute=1)
    limiter.acquire("a", 100)
    with pytest.raises(ApiError):
        limiter.acquire("a", 50)
    with pytest.raises(ApiError):
        limiter.acquire("a", 51)


def test_a_client_over_the_rate_limit_learns_when_to_retry(build):
    service = build(requests_per_minute=3)
    mine, yours = service.key(), service.key()
    assert [service.client.get("/v1/tasks", headers=mine).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = service.client.get("/v1/tasks", headers=mine)
    assert refused.json()["code"] == "rate_exceeded"
    assert refused.headers["retry-after"] == "20"
    assert service.client.get("/v1/tasks", headers=yours).status_code == 200
    service.clock.advance(seconds=20)
    assert service.client.get("/v1/tasks", headers=mine).status_code == 200


def test_unfinished_tasks_of_a_key_are_limited(build):
    service = build(max_active_tasks=2)
    mine = service.key()
    first, _ = service.create_task(mine)["id"], service.create_task(mine)
    refused = service.client.post("/v1/tasks", json=service.task_request, headers=mine)
    assert (refused.status_code, refused.json()["code"]) == (429, "tasks_exceeded")
    assert int(refused.headers["retry-after"]) > 0
    assert service.client.post("/v1/tasks", json=service.task_request, headers=service.key()).status_code == 201
    service.client.post(f"/v1/tasks/{first}/cancel", headers=mine)
    service.create_task(mine)
    assert service.client.post(f"/v1/tasks/{first}/retry", headers=mine).status_code == 429


def test_concurrent_requests_cannot_exceed_the_task_limit(build):
    service = build(max_active_tasks=3)
    mine, barrier = service.key(), threading.Barrier(8)

    def make(_: int) -> int:
        barrier.wait()
        return int(service.client.post("/v1/tasks", json=service.task_request, headers=mine).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [201] * 3 + [429] * 5


def test_a_repeated_request_at_the_task_limit_returns_the_first_task(build):
    service = build(max_active_tasks=1, requests_per_minute=3)
    mine = service.key() | {"Idempotency-Key": "order 7"}
    first = service.client.post("/v1/tasks", json=service.task_request, headers=mine)
    service.clock.advance(seconds=1)
    again = service.client.post("/v1/tasks", json=service.task_request, headers=mine)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    other = service.client.post("/v1/tasks", json=service.task_request, headers=mine | {"Idempotency-Key": "order 8"})
    assert (other.status_code, other.json()["code"]) == (429, "tasks_exceeded")
    repeated = service.client.post("/v1/tasks", json=service.task_request, headers=mine)
    assert (repeated.status_code, repeated.json()["code"]) == (429, "rate_exceeded")


def test_an_admin_may_retry_tasks_beyond_the_limit_of_a_key(build):
    service = build(max_active_tasks=1)
    mine, admin = service.key(), service.key("admin")
    task = service.create_task(mine)["id"]
    service.client.post(f"/v1/tasks/{task}/cancel", headers=mine)
    service.create_task(mine)
    service.create_task(admin)
    assert service.client.post(f"/v1/tasks/{task}/retry", headers=mine).status_code == 429
    assert service.client.post(f"/v1/tasks/{task}/retry", headers=admin).status_code == 200


def test_a_concurrency_slot_is_free_again_after_use():
    limiter = ConcurrencyLimiter(2)
    with limiter.slot("a"), limiter.slot("a"):
        with pytest.raises(ApiError) as caught, limiter.slot("a"):
            pass
        assert (caught.value.code, caught.value.headers) == ("streams_exceeded", {"Retry-After": "30"})
        with limiter.slot("b"):
            pass
    with pytest.raises(ZeroDivisionError), limiter.slot("a"), limiter.slot("a"):
        raise ZeroDivisionError
    with limiter.slot("a"), limiter.slot("a"):
        pass
