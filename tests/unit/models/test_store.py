"""Downloads from a local server that misbehaves in every way."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from lipsync.errors import (
    Cancelled,
    DownloadFailed,
    LicenseNotAccepted,
    ModelCorrupt,
    ModelMissing,
    OutputUnwritable,
)
from lipsync.files import file_lock
from lipsync.models.catalogue import CATALOGUE, ModelInfo
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor, Progress

CONTENT = bytes(range(256)) * 12_000  # 3 MB
KINDS = ("generator", "restorer", "upscaler")
Reply = Callable[[BaseHTTPRequestHandler, int], None]


class Handler(BaseHTTPRequestHandler):
    replies: ClassVar[dict[str, Reply]]
    asked: ClassVar[list[tuple[str, str | None]]]

    def do_GET(self) -> None:
        range_header = self.headers.get("Range")
        self.asked.append((self.path, range_header))
        start = int(range_header.removeprefix("bytes=").rstrip("-")) if range_header else 0
        self.replies[self.path](self, start)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    headers.setdefault("Content_Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler, start: int) -> None:
    send(handler, 200, CONTENT)


def ranged(handler: BaseHTTPRequestHandler, start: int) -> None:
    rest = CONTENT[start:]
    if start:
        send(handler, 206, rest, Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    else:
        send(handler, 200, rest)


def cut_after(count: int, status: Callable[[int], int] = lambda start: 206 if start else 200) -> Reply:
    """Announces everything, sends ``count`` bytes and closes the connection."""

    def reply(handler: BaseHTTPRequestHandler, start: int) -> None:
        begin = start if status(start) == 206 else 0
        length, span = str(len(CONTENT) - begin), f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"
        send(handler, status(start), CONTENT[begin : begin + count], Content_Length=length, Content_Range=span)

    return reply


def slow(handler: BaseHTTPRequestHandler, start: int) -> None:
    time.sleep(0.3)
    whole(handler, start)


def page(handler: BaseHTTPRequestHandler, start: int) -> None:
    send(handler, 200, b"<html>log in</html>", Content_Type="text/html")


def status(code: int) -> Reply:
    return lambda handler, start: send(handler, code, b"")


def wrong_length(handler: BaseHTTPRequestHandler, start: int) -> None:
    send(handler, 200, CONTENT[:1000])


def other(handler: BaseHTTPRequestHandler, start: int) -> None:
    send(handler, 200, CONTENT[::-1])


def elsewhere(handler: BaseHTTPRequestHandler, start: int) -> None:
    send(handler, 206, CONTENT[7:], Content_Range=f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")


@pytest.fixture
def server() -> Iterator[Callable[..., list[str]]]:
    Handler.replies, Handler.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()

        def serve(*replies: Reply) -> list[str]:
            Handler.replies = {f"/{k}": reply for k, reply in enumerate(replies)}
            return [f"http://127.0.0.1:{running.server_port}/{k}" for k in range(len(replies))]

        yield serve
        running.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path, server) -> Callable[..., Store]:
    def make(*replies: Reply) -> Store:
        digest = hashlib.sha256(CONTENT).hexdigest()
        entry = ModelInfo("w", "w.pth", len(CONTENT), digest, tuple(server(*replies)), "for research only")
        store = Store(tmp_path / "models", {"w": entry})
        store.accept_license("w")
        return store

    return make


def is_whole(store: Store) -> bool:
    return store.is_present("w") and store.path_of("w").read_bytes() == CONTENT


def test_a_download_is_complete_and_reports_progress(store, tmp_path):
    reports: list[Progress] = []
    models = store(whole)
    assert models.fetch("w", Monitor(reports.append)) == models.find("w")
    assert is_whole(models)
    assert (reports[-1].done, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [
        ".licenses.json.lock",
        ".w.pth.lock",
        "licenses.json",
        "w.pth",
    ]
    models.fetch("w", Monitor())
    assert len(Handler.asked) == 1


def test_a_cut_connection_is_resumed(store):
    models = store(cut_after(1_100_000))
    models.fetch("w", Monitor())
    assert is_whole(models)
    assert [range_header for _, range_header in Handler.asked] == [None, "bytes=1100000-", "bytes=2200000-"]


def test_a_server_without_ranges_starts_over(store):
    models = store(whole)
    part = models.path_of("w").with_name("w.pth.part")
    part.write_bytes(CONTENT[:500_000])
    models.fetch("w", Monitor())
    assert is_whole(models)
    assert Handler.asked == [("/0", "bytes=500000-")]


def test_a_cancelled_download_is_resumed_next_time(store):
    models = store(ranged)
    monitor = Monitor(lambda progress: monitor.cancel())
    with pytest.raises(Cancelled):
        models.fetch("w", monitor)
    had = models.path_of("w").with_name("w.pth.part").stat().st_size
    assert 0 < had < len(CONTENT)
    models.fetch("w", Monitor())
    assert is_whole(models)
    assert Handler.asked[-1] == ("/0", f"bytes={had}-")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (status(404), "404"),
        (status(500), "500"),
        (page, "a web page"),
        (wrong_length, "has 1000 bytes instead of"),
        (other, "wrong checksum"),
        (cut_after(0), "the connection failed"),
    ],
)
def test_a_failing_mirror_is_replaced_by_the_next_one(store, reply, message):
    models = store(reply, ranged)
    models.fetch("w", Monitor())
    assert is_whole(models)
    single = store(reply)
    single.remove("w")
    with pytest.raises(DownloadFailed, match=message) as caught:
        single.fetch("w", Monitor())
    assert caught.value.retryable
    assert not single.path_of("w").exists()


def test_another_range_than_requested_is_refused(store):
    models = store(elsewhere, ranged)
    models.path_of("w").with_name("w.pth.part").write_bytes(CONTENT[:500])
    models.fetch("w", Monitor())
    assert is_whole(models)


def test_partial_data_is_discarded_if_its_range_is_refused(store):
    def strict(handler: BaseHTTPRequestHandler, start: int) -> None:
        send(handler, 416, b"") if start else whole(handler, start)

    models = store(strict)
    models.path_of("w").with_name("w.pth.part").write_bytes(b"rubbish")
    models.fetch("w", Monitor())
    assert is_whole(models)


def test_an_unreachable_server_fails_the_download(store):
    models = store(whole)
    entry = replace(models.info("w"), mirrors=("http://127.0.0.1:9/w",))
    unreachable = Store(models.path_of("w").parent, {"w": entry})
    with pytest.raises(DownloadFailed, match="the connection failed"):
        unreachable.fetch("w", Monitor())


def test_a_damaged_file_is_found_and_replaced(store):
    models = store(ranged)
    models.fetch("w", Monitor())
    models.verify("w", Monitor())
    models.path_of("w").write_bytes(CONTENT[:-1] + b"\x00")
    with pytest.raises(ModelCorrupt, match=r"wrong checksum\. Run: lipsync models fetch w"):
        models.verify("w", Monitor())
    models.fetch("w", Monitor())
    models.verify("w", Monitor())


def test_two_at_once_download_once(store):
    models = store(slow)
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(lambda _: models.fetch("w", Monitor()), range(2)))) == 1
    assert is_whole(models)
    assert len(Handler.asked) == 1


def test_waiting_for_another_download_can_be_cancelled(store):
    models, monitor = store(whole), Monitor()
    monitor.cancel()
    with file_lock(models.path_of("w"), Monitor()), pytest.raises(Cancelled):
        models.fetch("w", monitor)
    assert Handler.asked == []


def test_the_rate_of_a_resumed_download_is_that_of_the_connection(store):
    def trickle(handler: BaseHTTPRequestHandler, start: int) -> None:
        span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        send(handler, 206, CONTENT[start:-1], Content_Range=span, Content_Length=str(len(CONTENT) - start))
        time.sleep(0.3)
        handler.wfile.write(CONTENT[-1:])

    models = store(trickle)
    models.path_of("w").with_name("w.pth.part").write_bytes(CONTENT[:2_000_000])
    reports: list[Progress] = []
    models.fetch("w", Monitor(reports.append))
    last = [report for report in reports if report.stage == "download"][-1]
    assert last.done == last.total == len(CONTENT)
    assert last.rate < (len(CONTENT) - 2_000_000) / 0.3


def test_weights_are_recognized_by_the_checksum_of_any_file(store):
    entry = replace(store(whole).info("w"), aliases=("abc",))
    models = Store(store(whole).folder, {"w": entry})
    assert models.info_by_sha256(entry.sha256) == models.info_by_sha256("abc") == entry
    assert models.info_by_sha256("another") is None


def test_a_folder_that_cannot_be_written_to(tmp_path, store):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputUnwritable, match="cannot write"):
        Store(tmp_path / "file" / "models", store(whole).catalogue).accept_license("w")


def test_the_default_folder_is_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder().name == "models"
    assert "lipsync" in default_folder().parts
    assert not default_folder().exists()


def test_the_license_has_to_be_accepted_again_when_it_changes(store, tmp_path):
    models = store(ranged)
    fresh = Store(tmp_path / "other", {"w": models.info("w")})
    with pytest.raises(LicenseNotAccepted, match="for research only"):
        fresh.fetch("w", Monitor())
    assert Handler.asked == []
    fresh.accept_license("w")
    fresh.fetch("w", Monitor())
    stricter = Store(tmp_path / "other", {"w": replace(models.info("w"), license="for no use")})
    assert not stricter.is_license_accepted("w")


def test_missing_models_are_named(store):
    models = store(ranged)
    with pytest.raises(ModelMissing, match=r"not installed\. Run: lipsync models fetch w"):
        models.find("w")
    with pytest.raises(ModelMissing, match="expected one of w"):
        models.find("nonsense")
    assert not models.remove("w")
    models.fetch("w", Monitor())
    assert models.remove("w")
    assert not models.is_present("w")


def test_the_catalogue_is_plausible():
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert len(entry.sha256) == 64
        assert entry.size > 1 << 20
        assert entry.kind in KINDS
        assert entry.license
        assert entry.mirrors
        assert all(mirror.startswith("https://") and mirror.endswith(entry.file) for mirror in entry.mirrors)
