"""Whether the service is up and ready, and what it counts."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from lipsync.api.auth import allow_metrics
from lipsync.api.errors import ApiError, problems
from lipsync.api.metrics import task_lines
from lipsync.api.state import StateDep

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="Is the process up?", responses=problems(keyed=False))
def healthz() -> Health:
    """Asks nobody else."""
    return Health()


@router.get("/readyz", summary="Can tasks be taken?", responses=problems(keyed=False))
def readyz(desk: StateDep) -> Health:
    """Whether the task store and the storage answer, as of a few seconds ago; 503 names those that do not."""
    if silent := desk.watch.silent():
        raise ApiError("not_ready", f"no answer from: {', '.join(silent)}", {"Retry-After": "5"})
    return Health()


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=PlainTextResponse,
    dependencies=[Depends(allow_metrics)],
    openapi_extra={"security": [{}]},
    responses=problems(),
)
def metrics(desk: StateDep) -> PlainTextResponse:
    """Without a key only from this machine, where the service listens on a loopback address; else for admins."""
    oldest = desk.store.oldest_waiting()
    waited = 0.0 if oldest is None else max(0.0, (desk.now() - oldest).total_seconds())
    counts = {status.value: count for status, count in desk.store.counts().items()}
    enhancements = {step.value: count for step, count in desk.store.enhancements().items()}
    lines = [*task_lines(counts, enhancements, waited), *desk.meter.lines()]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=METRICS_TYPE)
