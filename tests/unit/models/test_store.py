"""Downloads from a server on this machine that behaves in every bad way."""

from __future__ import annotations

import hashlib
import subprocess
import sys
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
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
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
    """Promises everything, sends ``count`` bytes and hangs up."""

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


def lying(handler: BaseHTTPRequestHandler, start: int) -> None:
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
        made = Store(tmp_path / "models", {"w": entry})
        made.accept_license("w")
        return made

    return make


def is_whole(store: Store) -> bool:
    return store.is_present("w") and store.path_of("w").read_bytes() == CONTENT


def test_a_download_is_whole_and_told_about(store, tmp_path):
    reports: list[Progress] = []
    shelf = store(whole)
    assert shelf.fetch("w", Monitor(reports.append)) == shelf.find("w")
    assert is_whole(shelf)
    assert (reports[-1].done, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [
        ".licenses.json.lock",
        ".w.pth.lock",
        "licenses.json",
        "w.pth",
    ]
    shelf.fetch("w", Monitor())
    assert len(Handler.asked) == 1


def test_a_connection_that_is_cut_goes_on_where_it_was(store):
    shelf = store(cut_after(1_100_000))
    shelf.fetch("w", Monitor())
    assert is_whole(shelf)
    assert [wanted for _, wanted in Handler.asked] == [None, "bytes=1100000-", "bytes=2200000-"]


def test_a_server_that_knows_no_ranges_starts_anew(store):
    shelf = store(whole)
    part = shelf.path_of("w").with_name("w.pth.part")
    part.write_bytes(CONTENT[:500_000])
    shelf.fetch("w", Monitor())
    assert is_whole(shelf)
    assert Handler.asked == [("/0", "bytes=500000-")]


def test_what_was_stopped_goes_on_next_time(store):
    shelf = store(ranged)
    monitor = Monitor(lambda progress: monitor.cancel())
    with pytest.raises(Cancelled):
        shelf.fetch("w", monitor)
    had = shelf.path_of("w").with_name("w.pth.part").stat().st_size
    assert 0 < had < len(CONTENT)
    shelf.fetch("w", Monitor())
    assert is_whole(shelf)
    assert Handler.asked[-1] == ("/0", f"bytes={had}-")


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (status(404), "404"),
        (status(500), "500"),
        (page, "a web page"),
        (lying, "promised 1000 bytes"),
        (other, "another checksum"),
        (cut_after(0), "the connection failed"),
    ],
)
def test_a_home_that_fails_is_left_for_the_next_one(store, reply, told):
    shelf = store(reply, ranged)
    shelf.fetch("w", Monitor())
    assert is_whole(shelf)
    lonely = store(reply)
    lonely.remove("w")
    with pytest.raises(DownloadFailed, match=told) as caught:
        lonely.fetch("w", Monitor())
    assert caught.value.retryable
    assert not lonely.path_of("w").exists()


def test_another_part_than_was_asked_for_is_refused(store):
    shelf = store(elsewhere, ranged)
    shelf.path_of("w").with_name("w.pth.part").write_bytes(CONTENT[:500])
    shelf.fetch("w", Monitor())
    assert is_whole(shelf)


def test_a_part_that_the_server_does_not_know_is_thrown_away(store):
    def strict(handler: BaseHTTPRequestHandler, start: int) -> None:
        send(handler, 416, b"") if start else whole(handler, start)

    shelf = store(strict)
    shelf.path_of("w").with_name("w.pth.part").write_bytes(b"rubbish")
    shelf.fetch("w", Monitor())
    assert is_whole(shelf)


def test_nobody_answers(store):
    shelf = store(whole)
    entry = replace(shelf.info("w"), mirrors=("http://127.0.0.1:9/w",))
    deaf = Store(shelf.path_of("w").parent, {"w": entry})
    with pytest.raises(DownloadFailed, match="the connection failed"):
        deaf.fetch("w", Monitor())


def test_a_damaged_file_is_found_and_replaced(store):
    shelf = store(ranged)
    shelf.fetch("w", Monitor())
    shelf.verify("w", Monitor())
    shelf.path_of("w").write_bytes(CONTENT[:-1] + b"\x00")
    with pytest.raises(ModelCorrupt, match="fetch w replaces it"):
        shelf.verify("w", Monitor())
    shelf.fetch("w", Monitor())
    shelf.verify("w", Monitor())


def test_two_at_once_download_once(store):
    shelf = store(slow)
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(lambda _: shelf.fetch("w", Monitor()), range(2)))) == 1
    assert is_whole(shelf)
    assert len(Handler.asked) == 1


def test_who_waits_for_a_download_can_stop_waiting(store):
    shelf, monitor = store(whole), Monitor()
    monitor.cancel()
    with file_lock(shelf.path_of("w"), Monitor()), pytest.raises(Cancelled):
        shelf.fetch("w", monitor)
    assert Handler.asked == []


def test_a_lock_ends_with_its_process(tmp_path):
    code = "import sys, os; from pathlib import Path; from lipsync.files import file_lock; "
    code += "from lipsync.monitor import Monitor; lock = file_lock(Path(sys.argv[1]), Monitor()); lock.__enter__(); "
    subprocess.run([sys.executable, "-c", code + "os._exit(1)", str(tmp_path / "w.pth")], check=False)
    assert (tmp_path / ".w.pth.lock").is_file()
    with file_lock(tmp_path / "w.pth", Monitor()):
        pass


def test_the_rate_of_a_resumed_download_is_that_of_the_connection(store):
    def trickle(handler: BaseHTTPRequestHandler, start: int) -> None:
        span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        send(handler, 206, CONTENT[start:-1], Content_Range=span, Content_Length=str(len(CONTENT) - start))
        time.sleep(0.3)
        handler.wfile.write(CONTENT[-1:])

    shelf = store(trickle)
    shelf.path_of("w").with_name("w.pth.part").write_bytes(CONTENT[:2_000_000])
    reports: list[Progress] = []
    shelf.fetch("w", Monitor(reports.append))
    last = [report for report in reports if report.stage == "download"][-1]
    assert last.done == last.total == len(CONTENT)
    assert last.rate < (len(CONTENT) - 2_000_000) / 0.3


def test_weights_are_known_by_the_checksum_of_any_file_they_came_in(store):
    entry = replace(store(whole).entry("w"), aliases=("abc",))
    shelf = Store(store(whole).folder, {"w": entry})
    assert shelf.info_by_sha256(entry.sha256) == shelf.info_by_sha256("abc") == entry
    assert shelf.info_by_sha256("another") is None


def test_a_folder_that_cannot_be_written_to(tmp_path, store):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputUnwritable, match="cannot write"):
        Store(tmp_path / "file" / "models", store(whole).catalogue).accept_license("w")


def test_weights_lie_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder().name == "models"
    assert "lipsync" in default_folder().parts
    assert not default_folder().exists()


def test_the_licence_has_to_be_agreed_to_once_for_each_wording(store, tmp_path):
    shelf = store(ranged)
    fresh = Store(tmp_path / "other", {"w": shelf.info("w")})
    with pytest.raises(LicenseNotAccepted, match="for research only"):
        fresh.fetch("w", Monitor())
    assert Handler.asked == []
    fresh.accept_license("w")
    fresh.fetch("w", Monitor())
    stricter = Store(tmp_path / "other", {"w": replace(shelf.info("w"), license="for nobody")})
    assert not stricter.is_license_accepted("w")


def test_what_is_not_there(store):
    shelf = store(ranged)
    with pytest.raises(ModelMissing, match="fetch w brings them"):
        shelf.find("w")
    with pytest.raises(ModelMissing, match="there are w"):
        shelf.find("nonsense")
    assert not shelf.remove("w")
    shelf.fetch("w", Monitor())
    assert shelf.remove("w")
    assert not shelf.is_present("w")


def test_the_catalogue_is_plausible():
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert len(entry.sha256) == 64
        assert entry.size > 1 << 20
        assert entry.kind in KINDS
        assert entry.license
        assert entry.mirrors
        assert all(home.startswith("https://") and home.endswith(entry.file) for home in entry.mirrors)
