from __future__ import annotations

import hashlib

import pytest

from lipsync.errors import Cancelled, FileMissing, NotAFile
from lipsync.monitor import Monitor
from lipsync.storage.address import is_base_url
from lipsync.storage.source import BLOCK_BYTES, open_source, read_blocks, size_and_sha256


def test_a_file_is_read_in_blocks_and_measured(tmp_path):
    content = bytes(range(256)) * (BLOCK_BYTES // 256) + b"rest"
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    assert [len(block) for block in read_blocks(path, Monitor())] == [BLOCK_BYTES, 4]
    assert size_and_sha256(path, Monitor()) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileMissing):
        open_source(tmp_path / "missing")
    with pytest.raises(NotAFile):
        open_source(tmp_path)


def test_reading_can_be_cancelled(tmp_path):
    (tmp_path / "v").write_bytes(b"x")
    monitor = Monitor()
    monitor.cancel()
    with pytest.raises(Cancelled):
        size_and_sha256(tmp_path / "v", monitor)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://example.org", True),
        ("http://127.0.0.1:9000/base", True),
        ("https://example.org?x", False),
        ("https://example.org#x", False),
        ("https://me@example.org", False),
        ("https://example.org:0", False),
        ("https://example.org:many", False),
        ("https://", False),
        ("ftp://example.org", False),
        ("example.org", False),
    ],
)
def test_a_base_url_has_a_host_and_nothing_secret(address, expected):
    assert is_base_url(address) is expected
