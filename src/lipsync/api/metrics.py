"""Request and task metrics in the Prometheus text format, version 0.0.4."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds, upper bounds
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Response counts and latencies by route, method and status. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._responses: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[tuple[str, str, float]] = Counter()
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def record(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one response that started after ``seconds``."""
        with self._lock:
            self._responses[route, method, status] += 1
            self._seconds[route, method] += seconds
            for bound in BUCKETS:
                if seconds <= bound:
                    self._buckets[route, method, bound] += 1

    def lines(self) -> Iterator[str]:
        """Yield the HTTP metrics in the text format."""
        with self._lock:
            responses, buckets, seconds = dict(self._responses), dict(self._buckets), dict(self._seconds)
        yield "# HELP lipsync_http_requests_total HTTP responses by route, method and status."
        yield "# TYPE lipsync_http_requests_total counter"
        counts: Counter[tuple[str, str]] = Counter()
        for (route, method, status), count in sorted(responses.items()):
            counts[route, method] += count
            yield sample("lipsync_http_requests_total", count, route=route, method=method, status=str(status))
        yield "# HELP lipsync_http_request_duration_seconds Time from request to response headers."
        yield "# TYPE lipsync_http_request_duration_seconds histogram"
        for (route, method), count in sorted(counts.items()):
            labels = {"route": route, "method": method}
            for bound in BUCKETS:
                below = buckets.get((route, method, bound), 0)
                yield sample("lipsync_http_request_duration_seconds_bucket", below, **labels, le=str(bound))
            yield sample("lipsync_http_request_duration_seconds_bucket", count, **labels, le="+Inf")
            yield sample("lipsync_http_request_duration_seconds_sum", seconds[route, method], **labels)
            yield sample("lipsync_http_request_duration_seconds_count", count, **labels)


def sample(name: str, value: float, **labels: str) -> str:
    """Format one sample."""
    pairs = ",".join(f'{label}="{escape_label(text)}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {value}" if pairs else f"{name} {value}"


def escape_label(value: str) -> str:
    """Escape a label value."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def task_lines(counts: Mapping[str, int], enhancements: Mapping[str, int], oldest_waiting: float) -> Iterator[str]:
    """Yield the task metrics: tasks by status, enhancements by status, and the oldest queued task's wait in seconds."""
    yield "# HELP lipsync_tasks Tasks by status."
    yield "# TYPE lipsync_tasks gauge"
    for status, count in counts.items():
        yield sample("lipsync_tasks", count, status=status)
    yield "# HELP lipsync_enhancements Tasks with an enhancement, by the enhancement's status."
    yield "# TYPE lipsync_enhancements gauge"
    for status, count in enhancements.items():
        yield sample("lipsync_enhancements", count, status=status)
    yield "# HELP lipsync_oldest_waiting_seconds Wait of the oldest queued task."
    yield "# TYPE lipsync_oldest_waiting_seconds gauge"
    yield sample("lipsync_oldest_waiting_seconds", oldest_waiting)


class MetricsMiddleware:
    """Record every response. Unknown paths share one route label, so that a scan cannot fill the memory."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, seconds = time.monotonic(), 500, 0.0

        async def timed_send(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.monotonic() - started
            await send(message)

        try:
            await self._app(scope, receive, timed_send)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            self._metrics.record(route, method, status, seconds or time.monotonic() - started)
