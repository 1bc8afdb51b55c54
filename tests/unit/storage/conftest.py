"""A bucket on a moto server, and a server with scripted replies."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Reply = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def bucket(moto_address: str) -> Iterator[Any]:
    """Client of a server with one empty bucket, ``results``, in eu-west-1."""
    boto3 = pytest.importorskip("boto3", reason="needs the s3 extra")
    urllib.request.urlopen(urllib.request.Request(f"{moto_address}/moto-api/reset", method="POST")).close()
    config = {"endpoint_url": moto_address, "region_name": "eu-west-1"}
    with closing(boto3.client("s3", aws_access_key_id="key", aws_secret_access_key="secret", **config)) as client:
        client.create_bucket(Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    """Start a server that gives every request this reply; return its address."""
    running = []

    def start(reply: Reply) -> str:
        methods = dict.fromkeys(["do_GET", "do_HEAD", "do_PUT", "do_POST", "do_DELETE"], reply)
        quiet = {"log_message": lambda *_: None, "protocol_version": "HTTP/1.1"}
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (BaseHTTPRequestHandler,), methods | quiet))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def make_film(tmp_path: Path) -> Callable[[int], Path]:
    def make(size: int) -> Path:
        path = tmp_path / "film.mp4"
        path.write_bytes(b"f" * size)
        return path

    return make
