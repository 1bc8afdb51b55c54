from __future__ import annotations

import json
import os
import shutil

import pytest

from lipsync.api.option_model import Options
from lipsync.engines import ENGINES
from lipsync.enhancers import RESTORERS, UPSCALERS
from lipsync.media.encoding import PRESETS
from lipsync.pipeline.option import Door
from lipsync.pipeline.options import options_of
from lipsync.tasks.options import DEFAULTS
from lipsync.tasks.task import Status, TaskFailure


def test_a_new_task_waits_and_is_announced(house):
    headers = house.key()
    answer = house.client.post("/v1/tasks", json=house.wish, headers=headers)
    task = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert task["status"] == "queued"
    assert task["engines"] == ["rewrite"]
    assert task["options"] == Options().model_dump()
    assert task["created_at"] == "2026-11-24T12:00:00Z"
    assert house.bell.rung == [task["id"]]
    assert house.store.reap(house.clock()) == []
    assert house.client.get(answer.headers["location"], headers=headers).json() == task


def test_a_task_whose_announcement_failed_is_announced_by_the_reaper(house, caplog):
    house.bell.broken = True
    task = house.new(house.key())
    assert house.store.reap(house.clock()) == [task["id"]]
    assert "was not announced" in caplog.text


def test_the_same_idempotency_key_makes_one_task(house):
    headers = house.key() | {"Idempotency-Key": "order 7"}
    first = house.client.post("/v1/tasks", json=house.wish, headers=headers)
    house.clock.on(seconds=1)
    second = house.client.post("/v1/tasks", json=house.wish, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]
    assert len(house.bell.rung) == 1
    other = house.client.post("/v1/tasks", json=house.wish | {"engines": ["passthrough"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "transition_forbidden")
    elsewhere = house.client.post("/v1/tasks", json=house.wish, headers=house.key() | {"Idempotency-Key": "order 7"})
    assert elsewhere.status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"engines": []},
        {"engines": ["rewrite", "rewrite"]},
        {"engines": ["nothing"]},
        {"options": {"original": True}},
        {"options": {"crf": 99}},
        {"options": {"crf": "17"}},
        {"options": {"device": "cuda"}},
        {"options": {"checkpoint": "/etc/passwd"}},
        {"options": {"photo_rate": 0}},
        {"video": {"url": "file:///etc/passwd"}},
        {"video": {"url": "https://"}},
        {"video": {"url": "http://0x7f.1/"}},
        {"video": {"url": "s3://b"}},
        {"video": {"url": "s3://bucket/a\u0000b"}},
        {"video": {"url": "s3://bucket/a/../b"}},
        {"video": {"url": "https://example.org/" + "x" * 9000}},
        {"video": {"url": "https://example.org/", "upload": "0" * 32}},
        {"video": {"upload": "0" * 32}},
        {"video": {"upload": "../../etc/passwd"}},
        {"video": {}},
        {"audio": None},
        {"webhook": "s3://bucket/key"},
        {"more": 1},
    ],
)
def test_what_cannot_be_done_is_refused(house, wrong):
    answer = house.client.post("/v1/tasks", json=house.wish | wrong, headers=house.key())
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert house.bell.rung == []


def test_half_a_surrogate_pair_is_refused(house):
    body = json.dumps(house.wish | {"options": {"enhance": "\ud800"}})
    headers = house.key() | {"Content-Type": "application/json"}
    answer = house.client.post("/v1/tasks", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_inputs_may_be_in_s3_and_carry_a_checksum(house):
    task = house.new(house.key(), video={"url": "s3://bucket/folder/v.mp4", "sha256": "0" * 64})
    assert task["video"]["url"] == "s3://bucket/folder/v.mp4"
    assert house.store.get(task["id"]).video.sha256 == "0" * 64


def test_credentials_in_addresses_are_kept_and_not_shown(house):
    headers = house.key()
    secret = "https://user:pa55word@example.org/v.mp4?signature=abc"
    task = house.new(headers, video={"url": secret}, webhook=secret)
    assert house.store.get(task["id"]).video.location == secret
    for path in ("/v1/tasks", f"/v1/tasks/{task['id']}"):
        text = house.client.get(path, headers=headers).text
        assert "pa55word" not in text
        assert "abc" not in text
        assert "example.org/v.mp4" in text


def test_the_options_are_those_of_the_table(house):
    assert Options().model_dump() == DEFAULTS
    body = house.client.get("/v1/options", headers=house.key()).json()
    assert body["engines"] == list(ENGINES)
    assert (set(body["restorers"]), set(body["upscalers"])) == (set(RESTORERS), set(UPSCALERS))
    assert body["defaults"] == DEFAULTS
    schemas = body["options"]["properties"]
    assert set(schemas) == set(options_of(Door.API))
    assert schemas["crf"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 63}
    assert schemas["encode"]["enum"] == list(PRESETS)
    assert all(schema["description"] for schema in schemas.values())
    house.new(house.key(), options=body["defaults"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crf": 99}, "invalid crf 99: expected an integer from 0 to 63"),
        ({"crf": "17"}, "invalid crf '17': expected an integer from 0 to 63"),
        ({"crf": 60}, "invalid crf 60: expected an integer from 0 to 51 for libx264"),
        ({"photo_rate": 0}, "invalid photo_rate 0: expected a number or fraction from 1 to 120 (frames/s)"),
        ({"face_select": "nicest"}, "invalid face_select 'nicest': expected one of largest, left, right, centre"),
        ({"offset_copies": [0]}, "invalid offset_copies 0: expected at most 8 integers from -120 to 120 except 0 (ms)"),
    ],
)
def test_a_bad_option_is_refused_in_the_words_of_every_door(house, options, words):
    answer = house.client.post("/v1/tasks", json=house.wish | {"options": options}, headers=house.key())
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "option_invalid", words)


def test_a_list_is_read_page_by_page(house):
    headers = house.key()
    ids = []
    for _ in range(5):
        ids.append(house.new(headers)["id"])
        house.clock.on(seconds=1)
    seen, cursor = [], None
    while True:
        wanted = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = house.client.get("/v1/tasks", params=wanted, headers=headers).json()
        seen += [task["id"] for task in page["tasks"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        house.new(headers)
    assert seen == ids[::-1]


def test_a_list_is_narrowed_by_status_and_time(house):
    headers = house.key()
    first = house.new(headers)["id"]
    house.clock.on(hours=1)
    second = house.new(headers)["id"]
    house.client.post(f"/v1/tasks/{second}/cancel", headers=headers)

    def listed(**wanted: str) -> list[str]:
        return [t["id"] for t in house.client.get("/v1/tasks", params=wanted, headers=headers).json()["tasks"]]

    assert listed(status="queued") == [first]
    assert listed(status="cancelled") == [second]
    assert listed(created_after="2026-11-24T12:30:00Z") == [second]
    assert listed(created_before="2026-11-24T14:00:00+01:30") == [first]


@pytest.mark.parametrize(
    "wrong",
    [
        "limit=0",
        "limit=501",
        "status=gone",
        "cursor=x",
        "created_after=0.5",
        "created_after=2026-11-24T12:30:00",
        "created_after=0001-01-01T00:00:00%2B14:00",
        "created_before=yesterday",
    ],
)
def test_a_list_that_cannot_be(house, wrong):
    assert house.client.get(f"/v1/tasks?{wrong}", headers=house.key()).status_code == 422


def test_cancelling(house):
    headers = house.key()
    waiting, running = house.new(headers)["id"], house.new(headers)["id"]
    house.store.claim(running, "w", house.lease, house.clock())
    assert house.client.post(f"/v1/tasks/{waiting}/cancel", headers=headers).json()["status"] == "cancelled"
    told = house.client.post(f"/v1/tasks/{running}/cancel", headers=headers).json()
    assert (told["status"], told["cancel_requested"]) == ("downloading", True)
    again = house.client.post(f"/v1/tasks/{waiting}/cancel", headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "transition_forbidden")


def test_trying_again(house):
    headers = house.key()
    task = house.new(headers)["id"]
    assert house.client.post(f"/v1/tasks/{task}/retry", headers=headers).status_code == 409
    house.store.claim(task, "w", house.lease, house.clock())
    house.store.fail(task, "w", TaskFailure("no_face_found", "nobody is there", False), house.clock())
    failed = house.client.get(f"/v1/tasks/{task}", headers=headers).json()
    assert failed["error"] == {"code": "no_face_found", "message": "nobody is there", "retryable": False}
    again = house.client.post(f"/v1/tasks/{task}/retry", headers=headers)
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (200, "queued", 0)
    assert house.bell.rung == [task, task]


def test_trying_again_keeps_the_uploads_or_tells_that_they_are_gone(house):
    headers = house.key()
    upload = house.client.post("/v1/uploads", content=b"a film", headers=headers).json()["id"]
    task = house.new(headers, video={"upload": upload})["id"]
    content = house.services.settings.data_dir / "uploads" / upload / "content"
    for there in (True, False):
        house.client.post(f"/v1/tasks/{task}/cancel", headers=headers)
        os.utime(content, (0, 0))
        if not there:
            shutil.rmtree(content.parent)
        again = house.client.post(f"/v1/tasks/{task}/retry", headers=headers)
        if there:
            assert (again.status_code, again.json()["status"]) == (200, "queued")
            assert content.stat().st_mtime > 0
        else:
            assert (again.status_code, again.json()["code"]) == (404, "upload_missing")


def test_deleting_takes_the_results_away_too(house):
    headers = house.key()
    task = house.new(headers)["id"]
    refused = house.client.delete(f"/v1/tasks/{task}", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "transition_forbidden")
    done = house.complete(task)
    path = house.storage.path(done.outputs[0].key)
    assert path.is_file()
    answer = house.client.delete(f"/v1/tasks/{task}", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not path.exists()
    assert house.client.get(f"/v1/tasks/{task}", headers=headers).status_code == 404


def test_a_completed_task_shows_its_results(house):
    headers = house.key()
    task = house.new(headers, engines=["rewrite", "passthrough"])["id"]
    house.complete(task)
    told = house.client.get(f"/v1/tasks/{task}", headers=headers).json()
    assert told["status"] == Status.COMPLETED
    assert [output["engine"] for output in told["outputs"]] == ["rewrite", "passthrough"]
    assert told["performance"]["frames"] == 25
    assert told["timings"] == {"process": 1.0}
    for output in told["outputs"]:
        assert house.client.get(output["url"]).content == b"a film"
    leads = house.client.get(f"/v1/tasks/{task}/outputs/rewrite", headers=headers, follow_redirects=False)
    assert leads.status_code == 307
    assert house.client.get(leads.headers["location"]).content == b"a film"
    missing = house.client.get(f"/v1/tasks/{task}/outputs/wav2lip", headers=headers)
    assert (missing.status_code, missing.json()["code"]) == (404, "output_missing")


def test_a_log_is_read_from_a_line_on(house):
    headers = house.key()
    task = house.new(headers)["id"]
    for k in range(3):
        house.store.log(task, "INFO", f"line {k}", house.clock(), "rewrite" if k else None)
    lines = house.client.get(f"/v1/tasks/{task}/logs", params={"after": 1, "limit": 1}, headers=headers).json()["lines"]
    assert lines == [
        {"number": 2, "at": "2026-11-24T12:00:00Z", "level": "INFO", "message": "line 1", "output": "rewrite"}
    ]
    assert len(house.client.get(f"/v1/tasks/{task}/logs", headers=headers).json()["lines"]) == 3


def test_what_became_of_webhook_calls_is_told(house):
    headers = house.key()
    task = house.new(headers)["id"]
    assert house.client.get(f"/v1/tasks/{task}/deliveries", headers=headers).json() == {"deliveries": []}
    delivery_id = house.enqueue(task, "https://u:secret@example.org/x")
    house.store.record_delivery(delivery_id, house.clock(), status=500, error="it answered 500", retry_in=None)
    told = house.client.get(f"/v1/tasks/{task}/deliveries", headers=headers)
    (one,) = told.json()["deliveries"]
    assert (one["event"], one["last_status"], one["last_error"]) == ("task.completed", 500, "it answered 500")
    assert (one["next_at"], one["delivered_at"]) == (None, None)
    assert "secret" not in told.text
    assert house.client.get(f"/v1/tasks/{task}/deliveries", headers=house.key()).status_code == 404


def test_an_estimate_grows_with_what_is_asked_for(house):
    def seconds(**more: object) -> float:
        wish = {"seconds": 60, "width": 1280, "height": 720, "engines": ["rewrite"]} | more
        answer = house.client.post("/v1/estimate", json=wish, headers=house.key())
        assert answer.status_code == 200
        told = answer.json()
        assert told["seconds"] == pytest.approx(sum(told["engines"].values()))
        return told["seconds"]

    assert 0 < seconds() < seconds(seconds=120)
    assert seconds() < seconds(width=1920, height=1080)
    assert seconds() < seconds(engines=["rewrite", "wav2lip"])
    assert all(seconds(engines=[engine]) > 0 for engine in ENGINES)
    enlarged = seconds(options={"upscale": "2:lanczos"})
    assert seconds() < enlarged < seconds(options={"upscale": "4:lanczos"}) < seconds(options={"upscale": "4:span"})
    assert seconds() < seconds(options={"enhance": "gfpgan-1.4"})
    assert seconds(options={"resize_factor": 2}) < seconds()
    unknown = {"seconds": 60, "width": 1280, "height": 720, "options": {"upscale": "3"}}
    assert house.client.post("/v1/estimate", json=unknown, headers=house.key()).status_code == 422
    wrong = {"seconds": 0, "width": 1, "height": 1}
    assert house.client.post("/v1/estimate", json=wrong, headers=house.key()).status_code == 422
