"""The reference page: introduction, operations by tag, schemas and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from lipsync.api.errors import error_rows
from lipsync.api.reference.examples import curl, header_name
from lipsync.api.reference.markup import code, inline, link, listing, prose, table
from lipsync.api.reference.schemas import Schema, description, fields_table, name_of, type_of, values_list, without_null

METHODS = ("options", "post", "get", "head", "put", "patch", "delete")  # in the order of a page
FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the OpenAPI document."""

    method: str
    path: str
    details: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.details["operationId"])

    @property
    def summary(self) -> str:
        return escape(self.details["summary"], quote=False)

    @property
    def badge(self) -> str:
        """The method as HTML."""
        return f'<span class="method {self.method.lower()}">{self.method}</span>'

    @property
    def scopes(self) -> list[str]:
        """The scopes of which an API key needs one; empty for public operations."""
        return sorted({scope for choice in self.details.get("security", ()) for scope in choice.get("key", ())})


def render_page(document: Mapping[str, Any], server: str) -> str:
    """Return the page for an OpenAPI document. ``server`` is the service's base URL in the examples."""
    template = Template(files("lipsync.api").joinpath("static/reference.html").read_text("utf-8"))
    groups = list(grouped(document))
    schemas = document["components"]["schemas"]
    info = document["info"]
    return template.substitute(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description=prose(info.get("description", "")),
        server=escape(server),
        navigation="\n".join(_navigation(tag, operations) for tag, operations in groups),
        operations="\n".join(_group(tag, operations, server, schemas) for tag, operations in groups),
        schemas="\n".join(_schema(name, schema) for name, schema in sorted(schemas.items())),
        schema_links="".join(f"<li>{link(f'#schema-{name}', escape(name))}</li>" for name in sorted(schemas)),
        errors=_errors(),
    )


def grouped(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, str], list[Operation]]]:
    """Yield each tag with its operations, in the order of the document."""
    operations = [
        Operation(method.upper(), path, methods[method])
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods
    ]
    for tag in document["tags"]:
        yield tag, [operation for operation in operations if tag["name"] in operation.details["tags"]]


def _navigation(tag: Mapping[str, str], operations: list[Operation]) -> str:
    items = "".join(f"<li>{link(f'#{each.id}', each.summary)}</li>" for each in operations)
    heading = link(f"#tag-{tag['name']}", _heading(tag))
    return f"<li>{heading}<ul>{items}</ul></li>"


def _heading(tag: Mapping[str, str]) -> str:
    return escape(tag["name"].capitalize())


def _group(tag: Mapping[str, str], operations: list[Operation], server: str, schemas: Mapping[str, Schema]) -> str:
    articles = "\n".join(_operation(operation, server, schemas) for operation in operations)
    name = tag["name"]
    return (
        f'<section id="tag-{name}" aria-labelledby="heading-{name}">\n'
        f'<h2 id="heading-{name}">{_heading(tag)}</h2>\n{prose(tag["description"])}\n{articles}\n</section>'
    )


def _operation(operation: Operation, server: str, schemas: Mapping[str, Schema]) -> str:
    parts = [
        f'<h3 id="heading-{operation.id}">{operation.summary} {_anchor(operation)}</h3>',
        f'<p class="path">{operation.badge} {code(operation.path)}</p>',
        prose(operation.details.get("description", "")),
        _access(operation),
        *_parameters(operation),
        *_request(operation, schemas),
        *_responses(operation),
        "<h4>Example</h4>",
        listing(
            f"curl command: {operation.details['summary']}",
            curl(operation.method, operation.path, operation.details, server, schemas),
        ),
    ]
    body = "\n".join(parts)
    return f'<article id="{operation.id}" aria-labelledby="heading-{operation.id}">\n{body}\n</article>'


def _anchor(operation: Operation) -> str:
    label = escape(f"Link to {operation.details['summary']}")
    return f'<a class="anchor" href="#{operation.id}" aria-label="{label}">#</a>'


def _access(operation: Operation) -> str:
    if not operation.details.get("security"):
        text = "No API key required."
    elif not operation.scopes:
        text = "Requires an API key in the cases described above."
    else:
        text = f"Requires an API key with the scope {' or '.join(code(scope) for scope in operation.scopes)}."
    return f'<p class="note">{text}</p>'


def _parameters(operation: Operation) -> Iterator[str]:
    rows = [
        (
            code(header_name(part["name"]) if part["in"] == "header" else part["name"]),
            f"{part['in']}, required" if part.get("required") else escape(part["in"]),
            type_of(without_null(part["schema"])),
            description(part["schema"]),
        )
        for part in operation.details.get("parameters", ())
    ]
    if rows:
        yield "<h4>Parameters</h4>"
        yield table(f"Parameters: {operation.details['summary']}", ("Name", "In", "Type", "Description"), rows)


def _request(operation: Operation, schemas: Mapping[str, Schema]) -> Iterator[str]:
    for media_type, content in operation.details.get("requestBody", {}).get("content", {}).items():
        yield f"<h4>Request body</h4>\n<p>{code(media_type)}: {type_of(content['schema'])}</p>"
        name = name_of(content["schema"])
        if name is not None:
            yield fields_table(name, schemas[name])


def _responses(operation: Operation) -> Iterator[str]:
    responses = sorted((int(status), response) for status, response in operation.details["responses"].items())
    rows = [
        (code(status), inline(response["description"]), _contents(response))
        for status, response in responses
        if status < FIRST_ERROR
    ]
    yield "<h4>Responses</h4>"
    yield table(f"Responses: {operation.details['summary']}", ("Status", "Description", "Content"), rows)
    errors = [link(f"#status-{status}", str(status)) for status, _ in responses if status >= FIRST_ERROR]
    if errors:
        yield f'<p class="note">Errors: {", ".join(errors)}.</p>'


def _contents(response: Mapping[str, Any]) -> str:
    bodies = [
        code(media_type) + (f": {type_of(content['schema'])}" if content.get("schema") else "")
        for media_type, content in response.get("content", {}).items()
    ]
    headers = [
        f"{code(header_name(name))}: {inline(header['description'])}"
        for name, header in response.get("headers", {}).items()
    ]
    return "<br>".join([*bodies, *headers]) or "none"


def _schema(name: str, schema: Schema) -> str:
    body = fields_table(name, schema) if schema.get("properties") else values_list(schema)
    return (
        f'<article id="schema-{name}" aria-labelledby="heading-schema-{name}">\n'
        f'<h3 id="heading-schema-{name}">{escape(name)}</h3>\n'
        f"{prose(schema.get('description', ''))}\n{body}\n</article>"
    )


def _errors() -> str:
    rows = []
    anchored: set[int] = set()
    for status, name, title, remedy in error_rows():
        anchor = "" if status in anchored else f' id="status-{status}"'
        anchored.add(status)
        rows.append((f"<span{anchor}>{status}</span>", code(name), inline(title), inline(remedy)))
    return table("Error codes", ("Status", "Code", "Title", "What to do"), rows)
