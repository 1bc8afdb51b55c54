"""The API reference page: static HTML generated from the OpenAPI document."""

from lipsync.api.reference.page import render_page

__all__ = ["render_page"]
