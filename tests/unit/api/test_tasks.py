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


def test_a_new_task_waits_and_is_announced(service):
    headers = service.key()
    answer = service.client.post("/v1/tasks", json=service.task_request, headers=headers)
    task = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert task["status"] == "queued"
    assert task["engines"] == ["rewrite"]
    assert task["options"] == Options().model_dump()
    assert task["created_at"] == "2026-11-24T12:00:00Z"
    assert service.notifier.announced == [task["id"]]
    assert service.store.reap(service.clock()) == []
    assert service.client.get(answer.headers["location"], headers=headers).json() == task


def test_a_reference_is_stored_and_shown(service):
    headers = service.key()
    reference = {"url": "https://user:secret@example.org/talk.mp4?token=x"}
    answer = service.client.post("/v1/tasks", json=service.task_request | {"reference": reference}, headers=headers)
    assert answer.status_code == 201, answer.text
    shown = answer.json()["reference"]["url"]
    assert shown.startswith("https://")
    assert "talk.mp4" in shown
    assert "secret" not in shown
    assert service.store.get(answer.json()["id"]).reference.location == reference["url"]
    bad = service.client.post(
        "/v1/tasks", json=service.task_request | {"reference": {"url": "ftp://example.org/x"}}, headers=headers
    )
    assert bad.status_code >= 400


def test_a_task_whose_announcement_failed_is_announced_by_the_reaper(service, caplog):
    service.notifier.broken = True
    task = service.create_task(service.key())
    assert service.store.reap(service.clock()) == [task["id"]]
    (record,) = [record for record in caplog.records if "could not announce" in record.message]
    assert (record.event, record.task, record.code) == ("task.unannounced", task["id"], "storage_failed")


def test_the_same_idempotency_key_makes_one_task(service):
    headers = service.key() | {"Idempotency-Key": "order 7"}
    first = service.client.post("/v1/tasks", json=service.task_request, headers=headers)
    service.clock.advance(seconds=1)
    second = service.client.post("/v1/tasks", json=service.task_request, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]
    assert len(service.notifier.announced) == 1
    other = service.client.post("/v1/tasks", json=service.task_request | {"engines": ["passthrough"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "transition_forbidden")
    elsewhere = service.client.post(
        "/v1/tasks", json=service.task_request, headers=service.key() | {"Idempotency-Key": "order 7"}
    )
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
def test_invalid_requests_are_rejected(service, wrong):
    answer = service.client.post("/v1/tasks", json=service.task_request | wrong, headers=service.key())
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.notifier.announced == []


def test_a_lone_surrogate_is_rejected(service):
    body = json.dumps(service.task_request | {"options": {"enhance": "\ud800"}})
    headers = service.key() | {"Content-Type": "application/json"}
    answer = service.client.post("/v1/tasks", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_inputs_may_be_in_s3_and_carry_a_checksum(service):
    task = service.create_task(service.key(), video={"url": "s3://bucket/folder/v.mp4", "sha256": "0" * 64})
    assert task["video"]["url"] == "s3://bucket/folder/v.mp4"
    assert service.store.get(task["id"]).video.sha256 == "0" * 64


def test_credentials_in_addresses_are_kept_and_not_shown(service):
    headers = service.key()
    secret = "https://user:pa55word@example.org/v.mp4?signature=abc"
    task = service.create_task(headers, video={"url": secret}, webhook=secret)
    assert service.store.get(task["id"]).video.location == secret
    for path in ("/v1/tasks", f"/v1/tasks/{task['id']}"):
        text = service.client.get(path, headers=headers).text
        assert "pa55word" not in text
        assert "abc" not in text
        assert "example.org/v.mp4" in text


def test_the_options_are_those_of_the_table(service):
    assert Options().model_dump() == DEFAULTS
    body = service.client.get("/v1/options", headers=service.key()).json()
    assert body["engines"] == list(ENGINES)
    assert (set(body["restorers"]), set(body["upscalers"])) == (set(RESTORERS), set(UPSCALERS))
    assert body["defaults"] == DEFAULTS
    schemas = body["options"]["properties"]
    assert set(schemas) == set(options_of(Door.API))
    assert schemas["crf"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 63}
    assert schemas["encode"]["enum"] == list(PRESETS)
    assert all(schema["description"] for schema in schemas.values())
    service.create_task(service.key(), options=body["defaults"])


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"crf": 99}, "invalid crf 99: expected an integer from 0 to 63"),
        ({"crf": "17"}, "invalid crf '17': expected an integer from 0 to 63"),
        ({"crf": 60}, "invalid crf 60: expected an integer from 0 to 51 for libx264"),
        ({"photo_rate": 0}, "invalid photo_rate 0: expected a number or fraction from 1 to 120 (frames/s)"),
        ({"face_select": "nicest"}, "invalid face_select 'nicest': expected one of largest, left, right, centre"),
        ({"offset_copies": [0]}, "invalid offset_copies 0: expected at most 8 integers from -120 to 120 except 0 (ms)"),
    ],
)
def test_an_invalid_option_has_the_same_message_as_elsewhere(service, options, detail):
    answer = service.client.post("/v1/tasks", json=service.task_request | {"options": options}, headers=service.key())
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "option_invalid", detail)


def test_a_list_is_read_page_by_page(service):
    headers = service.key()
    ids = []
    for _ in range(5):
        ids.append(service.create_task(headers)["id"])
        service.clock.advance(seconds=1)
    listed, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/v1/tasks", params=params, headers=headers).json()
        listed += [task["id"] for task in page["tasks"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        service.create_task(headers)
    assert listed == ids[::-1]


def test_a_list_is_narrowed_by_status_and_time(service):
    headers = service.key()
    first = service.create_task(headers)["id"]
    service.clock.advance(hours=1)
    second = service.create_task(headers)["id"]
    service.client.post(f"/v1/tasks/{second}/cancel", headers=headers)

    def listed(**filters: str) -> list[str]:
        return [t["id"] for t in service.client.get("/v1/tasks", params=filters, headers=headers).json()["tasks"]]

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
def test_an_invalid_filter_is_rejected(service, wrong):
    assert service.client.get(f"/v1/tasks?{wrong}", headers=service.key()).status_code == 422


def test_cancelling(service):
    headers = service.key()
    waiting, running = service.create_task(headers)["id"], service.create_task(headers)["id"]
    service.store.claim(running, "w", service.lease, service.clock())
    assert service.client.post(f"/v1/tasks/{waiting}/cancel", headers=headers).json()["status"] == "cancelled"
    body = service.client.post(f"/v1/tasks/{running}/cancel", headers=headers).json()
    assert (body["status"], body["cancel_requested"]) == ("downloading", True)
    again = service.client.post(f"/v1/tasks/{waiting}/cancel", headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "transition_forbidden")


def test_retrying(service):
    headers = service.key()
    task = service.create_task(headers)["id"]
    assert service.client.post(f"/v1/tasks/{task}/retry", headers=headers).status_code == 409
    service.store.claim(task, "w", service.lease, service.clock())
    service.store.fail(task, "w", TaskFailure("no_face_found", "no face was detected", False), service.clock())
    failed = service.client.get(f"/v1/tasks/{task}", headers=headers).json()
    assert failed["error"] == {"code": "no_face_found", "message": "no face was detected", "retryable": False}
    again = service.client.post(f"/v1/tasks/{task}/retry", headers=headers)
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (200, "queued", 0)
    assert service.notifier.announced == [task, task]


def test_retrying_keeps_the_uploads_or_reports_that_one_was_deleted(service):
    headers = service.key()
    upload = service.client.post("/v1/uploads", content=b"a video", headers=headers).json()["id"]
    task = service.create_task(headers, video={"upload": upload})["id"]
    content = service.services.settings.data_dir / "uploads" / upload / "content"
    for there in (True, False):
        service.client.post(f"/v1/tasks/{task}/cancel", headers=headers)
        os.utime(content, (0, 0))
        if not there:
            shutil.rmtree(content.parent)
        again = service.client.post(f"/v1/tasks/{task}/retry", headers=headers)
        if there:
            assert (again.status_code, again.json()["status"]) == (200, "queued")
            assert content.stat().st_mtime > 0
        else:
            assert (again.status_code, again.json()["code"]) == (404, "upload_missing")


def test_deleting_a_task_deletes_its_results(service):
    headers = service.key()
    task = service.create_task(headers)["id"]
    refused = service.client.delete(f"/v1/tasks/{task}", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "transition_forbidden")
    done = service.complete(task)
    path = service.storage.path(done.outputs[0].key)
    assert path.is_file()
    answer = service.client.delete(f"/v1/tasks/{task}", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not path.exists()
    assert service.client.get(f"/v1/tasks/{task}", headers=headers).status_code == 404


def test_a_completed_task_shows_its_results(service):
    headers = service.key()
    task = service.create_task(headers, engines=["rewrite", "passthrough"])["id"]
    service.complete(task)
    body = service.client.get(f"/v1/tasks/{task}", headers=headers).json()
    assert body["status"] == Status.COMPLETED
    assert [output["engine"] for output in body["outputs"]] == ["rewrite", "passthrough"]
    assert body["performance"]["frames"] == 25
    assert body["timings"] == {"process": 1.0}
    for output in body["outputs"]:
        assert service.client.get(output["url"]).content == b"a video"
    leads = service.client.get(f"/v1/tasks/{task}/outputs/rewrite", headers=headers, follow_redirects=False)
    assert leads.status_code == 307
    assert service.client.get(leads.headers["location"]).content == b"a video"
    missing = service.client.get(f"/v1/tasks/{task}/outputs/wav2lip", headers=headers)
    assert (missing.status_code, missing.json()["code"]) == (404, "output_missing")


def test_a_log_is_read_from_a_given_line(service):
    headers = service.key()
    task = service.create_task(headers)["id"]
    for k in range(3):
        service.store.log(task, "INFO", f"line {k}", service.clock(), "rewrite" if k else None)
    lines = service.client.get(f"/v1/tasks/{task}/logs", params={"after": 1, "limit": 1}, headers=headers).json()[
        "lines"
    ]
    assert lines == [
        {"number": 2, "at": "2026-11-24T12:00:00Z", "level": "INFO", "message": "line 1", "output": "rewrite"}
    ]
    assert len(service.client.get(f"/v1/tasks/{task}/logs", headers=headers).json()["lines"]) == 3


def test_webhook_calls_are_listed_with_their_status(service):
    headers = service.key()
    task = service.create_task(headers)["id"]
    assert service.client.get(f"/v1/tasks/{task}/deliveries", headers=headers).json() == {"deliveries": []}
    delivery_id = service.enqueue(task, "https://u:secret@example.org/x")
    service.store.record_delivery(delivery_id, service.clock(), status=500, error="it answered 500", retry_in=None)
    body = service.client.get(f"/v1/tasks/{task}/deliveries", headers=headers)
    (one,) = body.json()["deliveries"]
    assert (one["event"], one["last_status"], one["last_error"]) == ("task.completed", 500, "it answered 500")
    assert (one["next_at"], one["delivered_at"]) == (None, None)
    assert "secret" not in body.text
    assert service.client.get(f"/v1/tasks/{task}/deliveries", headers=service.key()).status_code == 404


def test_an_estimate_grows_with_the_request(service):
    def seconds(**more: object) -> float:
        request = {"seconds": 60, "width": 1280, "height": 720, "engines": ["rewrite"]} | more
        answer = service.client.post("/v1/estimate", json=request, headers=service.key())
        assert answer.status_code == 200
        body = answer.json()
        assert body["seconds"] == pytest.approx(sum(body["engines"].values()))
        return body["seconds"]

    assert 0 < seconds() < seconds(seconds=120)
    assert seconds() < seconds(width=1920, height=1080)
    assert seconds() < seconds(engines=["rewrite", "wav2lip"])
    assert all(seconds(engines=[engine]) > 0 for engine in ENGINES)
    enlarged = seconds(options={"upscale": "2:lanczos"})
    assert seconds() < enlarged < seconds(options={"upscale": "4:lanczos"}) < seconds(options={"upscale": "4:span"})
    assert seconds() < seconds(options={"enhance": "gfpgan-1.4"})
    assert seconds(options={"resize_factor": 2}) < seconds()
    unknown = {"seconds": 60, "width": 1280, "height": 720, "options": {"upscale": "3"}}
    assert service.client.post("/v1/estimate", json=unknown, headers=service.key()).status_code == 422
    wrong = {"seconds": 0, "width": 1, "height": 1}
    assert service.client.post("/v1/estimate", json=wrong, headers=service.key()).status_code == 422
