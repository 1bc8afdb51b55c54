from __future__ import annotations

import pytest

from lipsync.api.buckets import Buckets
from lipsync.api.errors import Refusal


def test_a_bucket_fills_again_at_its_rate():
    buckets = Buckets(per_minute=2)
    buckets.take("a", 0)
    buckets.take("a", 0)
    with pytest.raises(Refusal) as caught:
        buckets.take("a", 10)
    assert caught.value.headers == {"Retry-After": "20"}
    buckets.take("b", 10)
    buckets.take("a", 31)
    with pytest.raises(Refusal):
        buckets.take("a", 31)


def test_a_clock_that_goes_back_gives_and_takes_nothing():
    buckets = Buckets(per_minute=1)
    buckets.take("a", 100)
    with pytest.raises(Refusal):
        buckets.take("a", 50)
    with pytest.raises(Refusal):
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
    house = build(running_tasks=2)
    mine = house.key()
    first, _ = house.new(mine)["id"], house.new(mine)
    refused = house.client.post("/v1/tasks", json=house.wish, headers=mine)
    assert (refused.status_code, refused.json()["code"]) == (429, "tasks_exceeded")
    assert int(refused.headers["retry-after"]) > 0
    assert house.client.post("/v1/tasks", json=house.wish, headers=house.key()).status_code == 201
    house.client.post(f"/v1/tasks/{first}/cancel", headers=mine)
    house.new(mine)
    assert house.client.post(f"/v1/tasks/{first}/retry", headers=mine).status_code == 429
