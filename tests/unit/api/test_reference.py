from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from lipsync.api.errors import error_rows
from lipsync.api.reference.examples import curl
from lipsync.api.reference.markup import inline, prose

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Collects the ids, links and text of a page; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.labels: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name in ("href", "src"):
                self.links.append((tag, str(value)))
            elif name in ("aria-labelledby", "aria-label"):
                self.labels.append(str(value))
            assert name != "style"
            assert not name.startswith("on")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(service) -> Page:
    return Page(service.client.get("/docs").text)


def operations(service):
    paths = service.client.app.openapi()["paths"].items()
    return [(method, path, details) for path, methods in paths for method, details in methods.items()]


def test_the_page_needs_no_key_and_loads_its_own_stylesheet_only(service):
    response = service.client.get("/docs")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert service.client.head("/docs").status_code == 200
    css = service.client.get("/docs/reference.css")
    assert (css.status_code, css.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "url(" not in css.text
    assert "@import" not in css.text
    assert "prefers-color-scheme: dark" in css.text


def test_the_page_is_well_formed_and_has_no_third_party_links(page):
    assert len(set(page.ids)) == len(page.ids)
    assert "script" not in page.tags
    assert "style" not in page.tags
    for tag, target in page.links:
        assert target.startswith(("#", "docs/reference.css", "openapi.json", "data:,")), (tag, target)
        assert not target.startswith("#") or target[1:] in page.ids, target
    assert all(label in page.ids for label in page.labels if label.startswith("heading-"))
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("nav") == 1


def test_the_page_shows_every_operation_schema_and_error(service, page):
    for _, path, details in operations(service):
        assert details["operationId"] in page.ids
        assert details["summary"] in page.text
        assert path in page.text
    for name in service.client.app.openapi()["components"]["schemas"]:
        assert f"schema-{name}" in page.ids
    for status, code, title, remedy in error_rows():
        assert f"status-{status}" in page.ids
        assert code in page.text
        assert title in page.text
        assert remedy.replace("`", "") in page.text


def test_every_operation_has_a_curl_example(service):
    schemas = service.client.app.openapi()["components"]["schemas"]
    for method, path, details in operations(service):
        command = shlex.split(curl(method.upper(), path, details, "https://lips.example", schemas).replace("\\\n", ""))
        assert command[0] == "curl"
        (url,) = [part for part in command if part.startswith("https://lips.example/")]
        assert "{" not in url
        keyed = "Authorization: Bearer $LIPSYNC_API_KEY" in command
        assert keyed == any(details.get("security", ())), path


def test_the_example_of_a_new_task_is_a_valid_request(service):
    details = service.client.app.openapi()["paths"]["/v1/tasks"]["post"]
    command = shlex.split(
        curl("POST", "/v1/tasks", details, "http://x", service.client.app.openapi()["components"]["schemas"])
    )
    body = command[command.index("-d") + 1]
    headers = service.key() | {"Content-Type": "application/json"}
    assert service.client.post("/v1/tasks", content=body, headers=headers).status_code == 201


def test_the_base_url_of_the_examples_is_the_public_url(build):
    text = build(public_url="https://lips.example/").client.get("/docs").text
    assert "https://lips.example/v1/tasks" in text
    assert "testserver" not in text


def test_text_is_escaped():
    assert inline("a < `b > c` & d") == "a &lt; <code>b &gt; c</code> &amp; d"
    assert (
        prose("one\ntwo\n\n1. a\n2. b\n\n- c") == "<p>one two</p>\n<ol><li>a</li><li>b</li></ol>\n<ul><li>c</li></ul>"
    )


def test_the_stylesheet_defines_every_class_of_the_page(service):
    css = files("lipsync.api").joinpath("static/reference.css").read_text("utf-8")
    classes = {
        name for value in re.findall(r'class="([^"]+)"', service.client.get("/docs").text) for name in value.split()
    }
    assert {name for name in classes if f".{name}" not in css} == set()
