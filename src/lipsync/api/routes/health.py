"""Health checks and metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from lipsync.api.auth import allow_metrics
from lipsync.api.errors import ApiError
from lipsync.api.metrics import task_lines
from lipsync.api.problems import error_responses
from lipsync.api.state import StateDep

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """The result of a successful health check."""

    status: Literal["ok"] = Field(default="ok", description="Always `ok`.")


@router.get(
    "/healthz",
    summary="Check that the process is running",
    description="A liveness check. It does not contact the database or the storage.",
    response_description="The process is running",
    responses=error_responses(keyed=False),
)
def check_health() -> Health:
    return Health()


@router.get(
    "/readyz",
    summary="Check that the service is ready",
    description="A readiness check of the task store and the storage. The result is cached for 5 s. A 503 response "
    "names the components that do not respond.",
    response_description="The service is ready",
    responses=error_responses(keyed=False),
)
def check_readiness(state: StateDep) -> Health:
    if failing := state.readiness.failing():
        raise ApiError("not_ready", f"no response from: {', '.join(failing)}", {"Retry-After": "5"})
    return Health()


@router.get(
    "/metrics",
    summary="Get metrics",
    description="Returns request and task metrics in the Prometheus text format. Without an API key, only requests "
    "from the service's own machine are allowed, and only if it listens on a loopback address. Otherwise the scope "
    "`admin` is required.",
    response_description="The metrics",
    response_class=PlainTextResponse,
    dependencies=[Depends(allow_metrics)],
    openapi_extra={"security": [{}]},
    responses=error_responses(),
)
def get_metrics(state: StateDep) -> PlainTextResponse:
    oldest = state.store.oldest_waiting()
    waited = 0.0 if oldest is None else max(0.0, (state.now() - oldest).total_seconds())
    counts = {status.value: count for status, count in state.store.counts().items()}
    enhancements = {status.value: count for status, count in state.store.enhancements().items()}
    lines = [*task_lines(counts, enhancements, waited), *state.metrics.lines()]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=METRICS_TYPE)
