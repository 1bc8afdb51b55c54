"""An example curl command for each operation."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from lipsync.api.reference.schemas import Schema, example

AUTHORIZATION = '-H "Authorization: Bearer $LIPSYNC_API_KEY"'
SENT_HEADERS = ("tus-resumable", "upload-length", "upload-offset")  # optional in the schema, required by the protocol
JSON_TYPE = "application/json"


def curl(method: str, path: str, operation: Mapping[str, Any], server: str, schemas: Mapping[str, Schema]) -> str:
    """Return the command, one option per line."""
    parts = [f"curl{_method(method)} {_url(path, operation, server)}"]
    if any(operation.get("security", ())):
        parts.append(AUTHORIZATION)
    parts += _headers(operation)
    parts += _body(operation, schemas)
    parts += _output(method, operation)
    return " \\\n  ".join(parts)


def _method(method: str) -> str:
    return {"GET": "", "HEAD": " --head"}.get(method, f" -X {method}")


def _url(path: str, operation: Mapping[str, Any], server: str) -> str:
    values = {part["name"]: _value(part) for part in operation.get("parameters", ()) if part["in"] == "path"}
    query = {
        part["name"]: _value(part)
        for part in operation.get("parameters", ())
        if part["in"] == "query" and part.get("required")
    }
    url = server + re.sub(r"{(\w+)(?::\w+)?}", lambda match: values.get(match[1], match[1]), path)
    return shlex.quote(url + (f"?{urlencode(query)}" if query else ""))


def _value(parameter: Mapping[str, Any]) -> str:
    examples = parameter["schema"].get("examples")
    return str(examples[0]) if examples else str(parameter["name"]).upper()


def _headers(operation: Mapping[str, Any]) -> Iterator[str]:
    for part in operation.get("parameters", ()):
        if part["in"] == "header" and (part.get("required") or part["name"] in SENT_HEADERS):
            yield f"-H '{header_name(part['name'])}: {_value(part)}'"


def header_name(name: str) -> str:
    """Return a header's name in its usual spelling."""
    return "-".join(word.capitalize() for word in name.split("-")).replace("-Id", "-ID")


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Iterator[str]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"-H 'Content-Type: {media_type}'"
        if media_type == JSON_TYPE:
            text = json.dumps(example(content["schema"], schemas), indent=2, ensure_ascii=False)
            yield f"-d {shlex.quote(text)}"
        else:
            yield "-T speaker.mp4"


def _output(method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    content = operation["responses"].get("200", {}).get("content", {})
    if "307" in operation["responses"]:
        yield "--location --output FILE"
    elif "text/event-stream" in content:
        yield "--no-buffer"
    elif "application/octet-stream" in content and method != "HEAD":
        yield "--output FILE"
