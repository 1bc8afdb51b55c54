"""What was answered, how often and how fast, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Counts answers by route, method and status. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._within: Counter[tuple[str, str, float]] = Counter()
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def note(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answer, begun after so many seconds."""
        with self._lock:
            self._answers[route, method, status] += 1
            self._seconds[route, method] += seconds
            for bound in BOUNDS:
                if seconds <= bound:
                    self._within[route, method, bound] += 1

    def lines(self) -> Iterator[str]:
        """The answers as text."""
        with self._lock:
            answers, within, seconds = dict(self._answers), dict(self._within), dict(self._seconds)
        yield "# HELP lipsync_http_requests_total Answers by route, method and status."
        yield "# TYPE lipsync_http_requests_total counter"
        counts: Counter[tuple[str, str]] = Counter()
        for (route, method, status), count in sorted(answers.items()):
            counts[route, method] += count
            yield line("lipsync_http_requests_total", count, route=route, method=method, status=str(status))
        yield "# HELP lipsync_http_request_duration_seconds Time until an answer begins."
        yield "# TYPE lipsync_http_request_duration_seconds histogram"
        for (route, method), count in sorted(counts.items()):
            where = {"route": route, "method": method}
            for bound in BOUNDS:
                inside = within.get((route, method, bound), 0)
                yield line("lipsync_http_request_duration_seconds_bucket", inside, **where, le=str(bound))
            yield line("lipsync_http_request_duration_seconds_bucket", count, **where, le="+Inf")
            yield line("lipsync_http_request_duration_seconds_sum", seconds[route, method], **where)
            yield line("lipsync_http_request_duration_seconds_count", count, **where)


def line(name: str, value: float, **labels: str) -> str:
    """One sample."""
    told = ",".join(f'{key}="{escaped(label)}"' for key, label in labels.items())
    return f"{name}{{{told}}} {value}" if told else f"{name} {value}"


def escaped(label: str) -> str:
    """A label's value, as the format wants it."""
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def task_lines(counts: Mapping[str, int], enhancements: Mapping[str, int], oldest_waiting: float) -> Iterator[str]:
    """Tasks by status and by how far their enhancement is, and how many seconds the oldest queued one has waited."""
    yield "# HELP lipsync_tasks Tasks by status."
    yield "# TYPE lipsync_tasks gauge"
    for status, count in counts.items():
        yield line("lipsync_tasks", count, status=status)
    yield "# HELP lipsync_enhancements Tasks that asked for an enhancement, by how far that is."
    yield "# TYPE lipsync_enhancements gauge"
    for step, count in enhancements.items():
        yield line("lipsync_enhancements", count, step=step)
    yield "# HELP lipsync_oldest_waiting_seconds For how long the oldest queued task has waited."
    yield "# TYPE lipsync_oldest_waiting_seconds gauge"
    yield line("lipsync_oldest_waiting_seconds", oldest_waiting)


class MetricsMiddleware:
    """Around the application: notes every answer. Unknown paths are one route, or a scan would fill memory."""

    def __init__(self, app: ASGIApp, meter: Metrics) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, seconds = time.monotonic(), 500, 0.0

        async def sending(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.monotonic() - began
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            self._meter.note(route, method, status, seconds or time.monotonic() - began)
