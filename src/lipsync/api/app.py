"""The service's application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from lipsync import __version__
from lipsync.api.auth import check_keys
from lipsync.api.body_limit import BodyLimitMiddleware
from lipsync.api.errors import add_handlers, add_schemas
from lipsync.api.metrics import MetricsMiddleware
from lipsync.api.routes import events, files, health, tasks, tus, uploads, webhooks
from lipsync.api.routes import legacy as older
from lipsync.api.routes import options as about
from lipsync.api.state import Services, open_state

ROUTES = (tasks, events, webhooks, uploads, tus, files, about, health, older)
TAGS = [
    {"name": "tasks", "description": "Footage and a voice go in, one published file for each engine comes out."},
    {"name": "uploads", "description": "Inputs that are on no server yet, in one request or, with tus 1.0, in many."},
    {"name": "files", "description": "Results, where they are published on the service's own disk."},
    {"name": "service", "description": "What it offers, and how it is."},
    {"name": "older service", "description": "The endpoints of the service before this one."},
]


def operation_id(route: APIRoute) -> str:
    """What generated clients call it: ``tasks_create``."""
    return f"{route.endpoint.__module__.rpartition('.')[2]}_{route.name}"


class Application(FastAPI):
    """FastAPI, with the problems in its documentation."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        add_schemas(schema)
        return schema


def create_app(services: Services) -> FastAPI:
    """The application over these services. Raises SettingInvalid if it would be open to everybody."""
    check_keys(services.settings)
    app = Application(
        title="lipsync",
        version=__version__,
        summary="Lip sync as a service",
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        docs_url=None,  # these pages would run scripts from elsewhere, in the origin that has the keys
        redoc_url=None,
    )
    app.state.desk = open_state(services)
    add_handlers(app, [route for module in ROUTES for route in module.router.routes])
    for module in ROUTES:
        app.include_router(module.router)
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(tus.TusMiddleware)
    app.add_middleware(MetricsMiddleware, meter=app.state.desk.meter)
    return app
