from __future__ import annotations

from lipsync.tasks.task import TaskFailure

TASK_REQUEST = {"video_url": "https://example.org/v.mp4", "audio_url": "https://example.org/a.wav"}


def test_a_legacy_client_works_unchanged(service):
    headers = service.key()
    created = service.client.post("/lip_sync_task/", json=TASK_REQUEST, headers=headers)
    task = created.json()["task_id"]
    assert (created.status_code, created.json()) == (200, {"success": True, "task_id": task})
    assert service.notifier.announced == [task]

    def status() -> dict[str, object]:
        answer = service.client.get("/lip_sync_task/status", params={"task_id": task}, headers=headers)
        assert answer.status_code == 200
        body: dict[str, object] = answer.json()
        return body

    assert status() == {
        "success": True,
        "task_id": task,
        "status": "queued",
        "created_at": "2026-11-24T12:00:00Z",
        "completed_at": None,
        "output_s3_urls": None,
        "error_log": None,
    }
    service.clock.advance(seconds=9)
    service.complete(task)
    done = status()
    assert (done["status"], done["completed_at"]) == ("completed", "2026-11-24T12:00:09Z")
    assert isinstance(done["output_s3_urls"], list)
    assert [service.client.get(url).content for url in done["output_s3_urls"]] == [b"a video"]


def test_a_failed_task_says_why(service):
    headers = service.key()
    task = service.client.post("/lip_sync_task/", json=TASK_REQUEST, headers=headers).json()["task_id"]
    service.store.claim(task, "w", service.lease, service.clock())
    service.store.fail(task, "w", TaskFailure("no_face_found", "no face was detected", False), service.clock())
    body = service.client.get("/lip_sync_task/status", params={"task_id": task}, headers=headers).json()
    assert (body["status"], body["error_log"]) == ("failed", "no face was detected")


def test_problems_have_the_error_field_of_legacy_clients(service):
    headers = service.key()
    for answer, status in (
        (service.client.post("/lip_sync_task/", json={"video_url": "x"}, headers=headers), 422),
        (service.client.get("/lip_sync_task/status", params={"task_id": "x"}, headers=headers), 404),
        (service.client.get("/lip_sync_task/status", headers=headers), 422),
        (service.client.post("/lip_sync_task/", json=TASK_REQUEST), 401),
    ):
        assert answer.status_code == status
        assert answer.json()["error"] == answer.json()["detail"]
