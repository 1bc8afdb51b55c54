"""Downloads from S3, against a local moto server."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lipsync.errors import (
    AddressForbidden,
    Cancelled,
    ChecksumMismatch,
    ExtraMissing,
    FetchFailed,
    InputTooLarge,
    OptionInvalid,
)
from lipsync.monitor import Monitor
from lipsync.net import Limits, S3Access, Transport, fetch
from lipsync.net.s3 import bucket_and_key

CONTENT = bytes(range(256)) * 8_000  # 2 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REGION = "eu-central-1"
BUCKETS = ("films", "no-such-bucket")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = pytest.importorskip("moto.server", reason="needs moto[server,s3]").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def access(endpoint) -> S3Access:
    return S3Access(REGION, endpoint, "AKIAGEHEIM", "geheim", buckets=BUCKETS)


@pytest.fixture
def transport(access) -> Transport:
    return Transport(s3=access)


@pytest.fixture
def client(endpoint) -> Iterator[Any]:
    boto3 = pytest.importorskip("boto3")
    client = boto3.client(
        "s3", region_name=REGION, endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket="films", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket="films", Key="a/ü & b+c.mp4", Body=CONTENT, ContentType="video/mp4")
    yield client
    for entry in client.list_objects_v2(Bucket="films").get("Contents", []):
        client.delete_object(Bucket="films", Key=entry["Key"])
    client.delete_bucket(Bucket="films")
    client.close()


ADDRESS = "s3://films/a/ü & b+c.mp4"
CLOSED = Limits(idle_timeout=5.0)


@pytest.mark.usefixtures("client")
def test_an_object_is_downloaded_completely(transport, tmp_path):
    fetched = fetch(ADDRESS, tmp_path / "v.mp4", CLOSED, Monitor(), sha256=SHA256, transport=transport)
    assert (fetched.bytes, fetched.sha256, fetched.content_type) == (len(CONTENT), SHA256, "video/mp4")
    assert fetched.path.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


def test_a_cancelled_download_is_resumed_while_the_object_is_the_same(client, transport, tmp_path):
    target, part = tmp_path / "v.mp4", tmp_path / "v.mp4.part"
    monitor = Monitor(lambda progress: monitor.cancel())
    with pytest.raises(Cancelled):
        fetch(ADDRESS, target, CLOSED, monitor, transport=transport)
    had = part.stat().st_size
    assert 0 < had < len(CONTENT)
    part.write_bytes(b"x" * had)  # marks the resumed bytes in the result
    assert fetch(ADDRESS, target, CLOSED, Monitor(), transport=transport).bytes == len(CONTENT)
    assert target.read_bytes() == b"x" * had + CONTENT[had:]


def test_a_changed_object_starts_over(client, transport, tmp_path):
    target = tmp_path / "v.mp4"
    monitor = Monitor(lambda progress: monitor.cancel())
    with pytest.raises(Cancelled):
        fetch(ADDRESS, target, CLOSED, monitor, transport=transport)
    client.put_object(Bucket="films", Key="a/ü & b+c.mp4", Body=CONTENT[::-1])
    fetch(ADDRESS, target, CLOSED, Monitor(), transport=transport)
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.usefixtures("client")
def test_limits_and_checksums_hold(transport, tmp_path):
    with pytest.raises(InputTooLarge, match="MAX_INPUT_BYTES"):
        fetch(ADDRESS, tmp_path / "v", replace(CLOSED, max_bytes=1000), Monitor(), transport=transport)
    with pytest.raises(ChecksumMismatch):
        fetch(ADDRESS, tmp_path / "v", CLOSED, Monitor(), sha256="0" * 64, transport=transport)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("address", ["s3://films/nothing.mp4", "s3://no-such-bucket/a.mp4"])
def test_a_missing_object(transport, tmp_path, address):
    with pytest.raises(FetchFailed, match=f"{address}: the server responded 404") as caught:
        fetch(address, tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)
    assert not caught.value.retryable
    assert "geheim" not in f"{caught.value!r}".lower()


def test_a_denied_object_is_not_requested_again(web, limits, tmp_path):
    def denied(handler):
        handler.send_response(403)
        handler.send_header("Content-Length", "0")
        handler.send_header("x-amz-bucket-region", "us-west-2")
        handler.end_headers()

    web.give(denied, "/films/v.mp4")
    transport = Transport(s3=S3Access(REGION, web.url(""), "AKIAGEHEIM", "geheim", "geheim", BUCKETS))
    with pytest.raises(FetchFailed, match=r"403 Forbidden \(the bucket is in the region us-west-2\)") as caught:
        fetch("s3://films/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)
    assert not caught.value.retryable
    assert "X-Amz-Signature" in web.asked[0][0]


def test_an_endpoint_that_leads_elsewhere_is_not_trusted_there(web, tmp_path):
    def leads(handler):
        handler.send_response(307)
        handler.send_header("Location", "http://127.0.0.2/")
        handler.end_headers()

    web.give(leads, "/films/v.mp4")
    transport = Transport(s3=S3Access(REGION, web.url(""), "a", "b", buckets=BUCKETS))
    with pytest.raises(AddressForbidden):
        fetch("s3://films/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)


@pytest.mark.parametrize(
    ("region", "bucket", "host"),
    [
        ("eu-central-1", "films", "films.s3.eu-central-1.amazonaws.com"),
        ("us-east-1", "films", "films.s3.us-east-1.amazonaws.com"),
        ("eu-central-1", "films.of-1", "s3.eu-central-1.amazonaws.com"),
    ],
)
def test_amazons_regional_host_is_used(tmp_path, region, bucket, host):
    pytest.importorskip("boto3")
    asked = []

    def failing(name: str, port: int) -> tuple[str, ...]:
        asked.append((name, port))
        raise OSError("not today")

    transport = Transport(resolver=failing, s3=S3Access(region, None, "a", "b", buckets=(bucket,)))
    with pytest.raises(FetchFailed, match=r"cannot resolve host .*: not today") as caught:
        fetch(f"s3://{bucket}/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)
    assert caught.value.retryable
    assert asked == [(host, 443)]


def test_only_allowed_buckets_are_read(access, tmp_path):
    transport = Transport(s3=replace(access, buckets=("films",)))
    with pytest.raises(AddressForbidden, match=r"s3://other: not one of the allowed buckets \(LIPSYNC_INPUT_BUCKETS\)"):
        fetch("s3://other/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)


@pytest.mark.usefixtures("client")
def test_without_allowed_buckets_none_is_read(access, tmp_path):
    transport = Transport(s3=replace(access, buckets=()))
    with pytest.raises(AddressForbidden, match="LIPSYNC_INPUT_BUCKETS"):
        fetch(ADDRESS, tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)
    assert list(tmp_path.iterdir()) == []


def test_missing_credentials_are_reported(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    pytest.importorskip("boto3")
    transport = Transport(s3=S3Access(REGION, buckets=BUCKETS))
    with pytest.raises(FetchFailed, match=r"cannot sign the request to S3: .*credentials") as caught:
        fetch("s3://films/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)
    assert not caught.value.retryable


def test_an_invalid_endpoint_is_reported(tmp_path):
    pytest.importorskip("boto3")
    transport = Transport(s3=S3Access(REGION, "films.test", "a", "b", buckets=BUCKETS))
    with pytest.raises(FetchFailed, match="cannot sign"):
        fetch("s3://films/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=transport)


def test_without_boto3_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ExtraMissing, match="pip install"):
        fetch(
            "s3://films/v.mp4", tmp_path / "v.mp4", CLOSED, Monitor(), transport=Transport(s3=S3Access(buckets=BUCKETS))
        )


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://films",
        "s3://films/",
        "s3:films/v.mp4",
        "s3:///v.mp4",
        "s3://Films/v.mp4",
        "s3://fi_lms/v.mp4",
        "s3://me:geheim@films/v.mp4",
        "s3://films:80/v.mp4",
        "s3://a/v.mp4",
        "s3://films/../other/v.mp4",
        "s3://films/./v.mp4",
        "s3://films/a\nb",
        "s3://films/\ud800",
        "s3://films/" + "ü" * 513,
    ],
)
def test_an_invalid_object_is_rejected(address):
    with pytest.raises(OptionInvalid) as caught:
        bucket_and_key(address)
    assert "geheim" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_object_is_a_bucket_and_a_key():
    assert bucket_and_key("s3://films/a//b?c#d.mp4") == ("films", "a//b?c#d.mp4")
    assert bucket_and_key("S3://films.of-1/ü") == ("films.of-1", "ü")


def test_secrets_are_not_in_the_repr():
    assert "geheim" not in repr(Transport(s3=S3Access(REGION, None, "geheim", "geheim", "geheim")))
