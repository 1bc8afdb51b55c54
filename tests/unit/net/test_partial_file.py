from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lipsync.errors import ChecksumMismatch, FetchFailed
from lipsync.monitor import Monitor
from lipsync.net.partial_file import PartialFile, Validator, discard
from lipsync.net.response import permanent_failure

STATE = Validator("ETag", '"one"')


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "inputs" / "v.mp4"


def receive(target: Path, content: bytes, validator: Validator | None, error: Exception | None = None) -> None:
    with PartialFile(target, "address", Monitor()) as part:
        part.restart(validator)
        part.write(content)
        if error is not None:
            raise error


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_complete_file_replaces_the_part(target):
    with PartialFile(target, "address", Monitor()) as part:
        part.restart(STATE)
        part.write(b"ab")
        part.write(b"c")
        fetched = part.deliver(hashlib.sha256(b"abc").hexdigest().upper(), "video/mp4")
    assert (fetched.bytes, fetched.sha256, fetched.content_type) == (3, hashlib.sha256(b"abc").hexdigest(), "video/mp4")
    assert target.read_bytes() == b"abc"
    assert names(target) == ["v.mp4"]


def test_a_part_with_a_validator_is_resumed_with_its_checksum(target):
    with pytest.raises(FetchFailed):
        receive(target, b"ab", STATE, FetchFailed("later"))
    with PartialFile(target, "address", Monitor()) as part:
        assert (part.size, part.validator) == (2, STATE)
        part.write(b"c")
        assert part.deliver(None, None).sha256 == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    ("validator", "error"),
    [(None, FetchFailed("later")), (STATE, permanent_failure("never")), (STATE, ChecksumMismatch("other"))],
)
def test_a_part_that_cannot_be_resumed_is_removed(target, validator, error):
    with pytest.raises(type(error)):
        receive(target, b"ab", validator, error)
    assert names(target) == []


def test_a_part_of_another_identity_is_not_resumed(target):
    receive(target, b"ab", STATE)
    with PartialFile(target, "other address", Monitor()) as part:
        assert (part.size, part.validator) == (0, None)


def deliver(target: Path, content: bytes, sha256: str) -> None:
    with PartialFile(target, "address", Monitor()) as part:
        part.restart(STATE)
        part.write(content)
        part.deliver(sha256, None)


def test_a_wrong_checksum_removes_everything(target):
    with pytest.raises(ChecksumMismatch, match=r"v\.mp4: expected SHA-256"):
        deliver(target, b"abc", "0" * 64)
    assert names(target) == []


def test_discarding_is_repeatable(target):
    receive(target, b"ab", STATE)
    assert names(target) == ["v.mp4.part", "v.mp4.part.json"]
    discard(target)
    discard(target)
    assert names(target) == []
