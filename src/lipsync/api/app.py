"""The FastAPI application."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from lipsync import __version__
from lipsync.api.auth import check_keys
from lipsync.api.body_limit import BodyLimitMiddleware
from lipsync.api.metrics import MetricsMiddleware
from lipsync.api.problems import add_handlers, add_schemas
from lipsync.api.reference import render_page
from lipsync.api.routes import docs, events, files, health, legacy, options, tasks, tus, uploads, webhooks
from lipsync.api.state import Services, open_state

ROUTES = (tasks, events, webhooks, uploads, tus, files, options, health, legacy, docs)
DESCRIPTION = """\
Send a video or photo and an audio track; get the video back with its mouth re-animated to the audio.

1. Upload the inputs (`POST /v1/uploads`), or use URLs that the service can fetch.
2. Create a task (`POST /v1/tasks`).
3. Watch it (`GET /v1/tasks/{task_id}/events`), poll it (`GET /v1/tasks/{task_id}`), or set a webhook.
4. Download the result (`GET /v1/tasks/{task_id}/outputs/{engine}`).\
"""
TAGS = [
    {"name": "tasks", "description": "Create tasks, follow their progress and download their results."},
    {"name": "uploads", "description": "Send input files, in one request or resumably with tus 1.0.0."},
    {"name": "files", "description": "Download results from local storage through signed links."},
    {"name": "service", "description": "Query options, estimates, health and metrics."},
    {"name": "legacy", "description": "Endpoints of the service's predecessor, for existing clients."},
]


def operation_id(route: APIRoute) -> str:
    """Return the handler's name, which is unique in the API: ``create_task``."""
    return route.name


class Application(FastAPI):
    """FastAPI with problem documents in its OpenAPI document, and a reference page."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        add_schemas(schema)
        return schema

    @cached_property
    def reference(self) -> str:
        """The reference page as HTML."""
        return render_page(self.openapi(), self.state.lipsync.settings.address)


def create_app(services: Services) -> FastAPI:
    """Create the application. Raises SettingInvalid if it would be open to other machines without API keys."""
    check_keys(services.settings)
    app = _with_routes()
    app.state.lipsync = open_state(services)
    add_handlers(app, [route for module in ROUTES for route in module.router.routes])
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(tus.TusMiddleware)
    app.add_middleware(MetricsMiddleware, metrics=app.state.lipsync.metrics)
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the service; it is the same for all settings."""
    return _with_routes().openapi()


def _with_routes() -> Application:
    app = Application(
        title="lipsync",
        version=__version__,
        summary="Lip sync as a service",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        docs_url=None,  # FastAPI's own pages load third-party scripts; routes.docs serves a static page
        redoc_url=None,
    )
    for module in ROUTES:
        app.include_router(module.router)
    return app
