"""The API reference page and its stylesheet."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from starlette.requests import Request

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter(include_in_schema=False)


@router.api_route("/docs", methods=["GET", "HEAD"])
def show_reference(request: Request) -> Response:
    return Response(request.app.reference, headers=HEADERS | {"Cache-Control": "no-cache"}, media_type="text/html")


@router.api_route("/docs/reference.css", methods=["GET", "HEAD"])
def show_stylesheet() -> Response:
    css = files("lipsync.api").joinpath("static/reference.css").read_text("utf-8")
    return Response(css, headers=HEADERS | {"Cache-Control": "max-age=86400"}, media_type="text/css")
