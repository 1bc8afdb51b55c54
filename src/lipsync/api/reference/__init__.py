"""The API reference page: static HTML generated from the OpenAPI document."""

from lipsync.api.reference.page import render

__all__ = ["render"]
