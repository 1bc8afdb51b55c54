"""Sphinx configuration; ``scripts/docs`` builds the site."""

from __future__ import annotations

from importlib import metadata

project = "lipsync"
author = "the lip-sync-service authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
release = version = metadata.version("lip-sync-service")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "lipsync"
html_copy_source = False
html_show_sphinx = False
