from __future__ import annotations

from lipsync.api.metrics import BUCKETS, Metrics, sample, task_lines


def values(lines) -> dict[str, float]:
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_buckets_are_cumulative_and_agree_with_the_count():
    metrics = Metrics()
    for seconds in (BUCKETS[0] / 2, BUCKETS[1], BUCKETS[-1] * 2):
        metrics.record("/v1/tasks", "GET", 200, seconds)
    found = values(metrics.lines())
    prefix, labels = "lipsync_http_request_duration_seconds", 'route="/v1/tasks",method="GET"'
    counts = [found[f'{prefix}_bucket{{{labels},le="{bound}"}}'] for bound in (*BUCKETS, "+Inf")]
    assert counts == [1] + [2] * (len(BUCKETS) - 1) + [3]
    assert found[f"{prefix}_count{{{labels}}}"] == 3
    assert found[f"{prefix}_sum{{{labels}}}"] == BUCKETS[0] / 2 + BUCKETS[1] + BUCKETS[-1] * 2


def test_responses_are_counted_by_status():
    metrics = Metrics()
    for status in (200, 404, 404):
        metrics.record("/v1/tasks", "GET", status, 0.1)
    found = values(metrics.lines())
    assert found['lipsync_http_requests_total{route="/v1/tasks",method="GET",status="200"}'] == 1
    assert found['lipsync_http_requests_total{route="/v1/tasks",method="GET",status="404"}'] == 2


def test_label_values_are_escaped():
    assert sample("name", 1, label='a"b\\c\nd') == r'name{label="a\"b\\c\nd"} 1'
    assert sample("name", 2.5) == "name 2.5"


def test_every_metric_of_tasks_has_its_type():
    lines = list(task_lines({"queued": 2}, {"failed": 1}, 3.5))
    assert [line.split()[2] for line in lines if line.startswith("# TYPE")] == [
        "lipsync_tasks",
        "lipsync_enhancements",
        "lipsync_oldest_waiting_seconds",
    ]
    assert values(lines) == {
        'lipsync_tasks{status="queued"}': 2,
        'lipsync_enhancements{status="failed"}': 1,
        "lipsync_oldest_waiting_seconds": 3.5,
    }
