from __future__ import annotations

from lipsync.tasks.task import TaskFailure

WISH = {"video_url": "https://example.org/v.mp4", "audio_url": "https://example.org/a.wav"}


def test_a_client_of_the_older_service_goes_on_as_it_is(house):
    headers = house.key()
    made = house.client.post("/lip_sync_task/", json=WISH, headers=headers)
    task = made.json()["task_id"]
    assert (made.status_code, made.json()) == (200, {"success": True, "task_id": task})
    assert house.bell.rung == [task]

    def status() -> dict[str, object]:
        answer = house.client.get("/lip_sync_task/status", params={"task_id": task}, headers=headers)
        assert answer.status_code == 200
        told: dict[str, object] = answer.json()
        return told

    assert status() == {
        "success": True,
        "task_id": task,
        "status": "queued",
        "created_at": "2026-11-24T12:00:00Z",
        "completed_at": None,
        "output_s3_urls": None,
        "error_log": None,
    }
    house.clock.on(seconds=9)
    house.complete(task)
    done = status()
    assert (done["status"], done["completed_at"]) == ("completed", "2026-11-24T12:00:09Z")
    assert isinstance(done["output_s3_urls"], list)
    assert [house.client.get(url).content for url in done["output_s3_urls"]] == [b"a film"]


def test_why_a_task_failed_is_told(house):
    headers = house.key()
    task = house.client.post("/lip_sync_task/", json=WISH, headers=headers).json()["task_id"]
    house.store.claim(task, "w", house.lease, house.clock())
    house.store.fail(task, "w", TaskFailure("no_face_found", "nobody is there", False), house.clock())
    told = house.client.get("/lip_sync_task/status", params={"task_id": task}, headers=headers).json()
    assert (told["status"], told["error_log"]) == ("failed", "nobody is there")


def test_failures_are_told_where_older_clients_look_too(house):
    headers = house.key()
    for answer, status in (
        (house.client.post("/lip_sync_task/", json={"video_url": "x"}, headers=headers), 422),
        (house.client.get("/lip_sync_task/status", params={"task_id": "x"}, headers=headers), 404),
        (house.client.get("/lip_sync_task/status", headers=headers), 422),
        (house.client.post("/lip_sync_task/", json=WISH), 401),
    ):
        assert answer.status_code == status
        assert answer.json()["error"] == answer.json()["detail"]
