from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lipsync.api.errors import ApiError
from lipsync.api.rate_limits import RateLimiter
from lipsync.api.slots import ConcurrencyLimiter


def test_a_bucket_fills_again_at_its_rate():
    buckets = RateLimiter(per_minute=2)
    buckets.take("a", 0)
    buckets.take("a", 0)
    with pytest.raises(ApiError) as caught:
        buckets.take("a", 10)
    assert caught.value.headers == {"Retry-After": "20"}
    buckets.take("b", 10)
    buckets.take("a", 31)
    with pytest.raises(ApiError):
        buckets.take("a", 31)


def test_a_clock_that_goes_back_gives_and_takes_nothing():
    buckets = RateLimiter(per_minute=1)
    buckets.take("a", 100)
    with pytest.raises(ApiError):
        buckets.take("a", 50)
    with pytest.raises(ApiError):
        buckets.take("a", 51)


def test_who_asks_too_often_is_told_when_to_come_again(build):
    house = build(requests_per_minute=3)
    mine, yours = house.key(), house.key()
    assert [house.client.get("/v1/tasks", headers=mine).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = house.client.get("/v1/tasks", headers=mine)
    assert refused.json()["code"] == "rate_exceeded"
    assert refused.headers["retry-after"] == "20"
    assert house.client.get("/v1/tasks", headers=yours).status_code == 200
    house.clock.on(seconds=20)
    assert house.client.get("/v1/tasks", headers=mine).status_code == 200


def test_unfinished_tasks_of_a_key_are_limited(build):
    house = build(max_active_tasks=2)
    mine = house.key()
    first, _ = house.new(mine)["id"], house.new(mine)
    refused = house.client.post("/v1/tasks", json=house.wish, headers=mine)
    assert (refused.status_code, refused.json()["code"]) == (429, "tasks_exceeded")
    assert int(refused.headers["retry-after"]) > 0
    assert house.client.post("/v1/tasks", json=house.wish, headers=house.key()).status_code == 201
    house.client.post(f"/v1/tasks/{first}/cancel", headers=mine)
    house.new(mine)
    assert house.client.post(f"/v1/tasks/{first}/retry", headers=mine).status_code == 429


def test_racing_requests_make_no_more_tasks_than_the_key_may_have(build):
    house = build(max_active_tasks=3)
    mine, barrier = house.key(), threading.Barrier(8)

    def make(_: int) -> int:
        barrier.wait()
        return int(house.client.post("/v1/tasks", json=house.wish, headers=mine).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [201] * 3 + [429] * 5


def test_a_repeat_by_a_key_that_may_have_no_more_tasks_gives_the_first(build):
    house = build(max_active_tasks=1, requests_per_minute=3)
    mine = house.key() | {"Idempotency-Key": "order 7"}
    first = house.client.post("/v1/tasks", json=house.wish, headers=mine)
    house.clock.on(seconds=1)
    again = house.client.post("/v1/tasks", json=house.wish, headers=mine)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    other = house.client.post("/v1/tasks", json=house.wish, headers=mine | {"Idempotency-Key": "order 8"})
    assert (other.status_code, other.json()["code"]) == (429, "tasks_exceeded")
    repeated = house.client.post("/v1/tasks", json=house.wish, headers=mine)
    assert (repeated.status_code, repeated.json()["code"]) == (429, "rate_exceeded")


def test_an_admin_has_others_tasks_tried_again_however_many_they_have(build):
    house = build(max_active_tasks=1)
    mine, admin = house.key(), house.key("admin")
    task = house.new(mine)["id"]
    house.client.post(f"/v1/tasks/{task}/cancel", headers=mine)
    house.new(mine)
    house.new(admin)
    assert house.client.post(f"/v1/tasks/{task}/retry", headers=mine).status_code == 429
    assert house.client.post(f"/v1/tasks/{task}/retry", headers=admin).status_code == 200


def test_of_a_few_slots_each_is_taken_by_one_and_free_when_that_one_ends():
    slots = ConcurrencyLimiter(2)
    with slots.one("a"), slots.one("a"):
        with pytest.raises(ApiError) as caught, slots.one("a"):
            pass
        assert (caught.value.code, caught.value.headers) == ("streams_exceeded", {"Retry-After": "30"})
        with slots.one("b"):
            pass
    with pytest.raises(ZeroDivisionError), slots.one("a"), slots.one("a"):
        raise ZeroDivisionError
    with slots.one("a"), slots.one("a"):
        pass
