"""S3 storage: addresses, object metadata, invalid settings, misbehaving servers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from lipsync.errors import Cancelled, LipsyncError, SettingInvalid, StorageFailed
from lipsync.monitor import Monitor
from lipsync.storage.base import S3Options
from lipsync.storage.s3 import S3Storage
from lipsync.storage.s3_errors import region_error
from lipsync.storage.s3_upload import part_size

pytest.importorskip("boto3", reason="needs the s3 extra")
MEBIBYTE = 1 << 20
AWS = S3Options("results", "eu-central-1", access_key="key", secret_key="very secret")


@pytest.fixture
def options(moto_address: str, bucket: object) -> S3Options:
    return S3Options("results", "eu-west-1", moto_address, access_key="key", secret_key="very secret")


@pytest.fixture
def opened() -> Iterator[Callable[[S3Options], S3Storage]]:
    storages = []

    def start(options: S3Options) -> S3Storage:
        storages.append(S3Storage.open(options))
        return storages[-1]

    yield start
    for storage in storages:
        storage.close()


def answer(handler: BaseHTTPRequestHandler, status: int, code: str = "", **headers: str) -> None:
    handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = f"<Error><Code>{code}</Code><Message>first\nsecond</Message></Error>".encode() if code else b""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({}, "https://results.s3.eu-central-1.amazonaws.com/a%20b/%C3%BC%2B%3F.mp4"),
        ({"region": "us-east-1"}, "https://results.s3.us-east-1.amazonaws.com/a%20b/%C3%BC%2B%3F.mp4"),
        ({"region": "cn-north-1"}, "https://results.s3.cn-north-1.amazonaws.com.cn/a%20b/%C3%BC%2B%3F.mp4"),
        ({"region": "us-gov-west-1"}, "https://results.s3.us-gov-west-1.amazonaws.com/a%20b/%C3%BC%2B%3F.mp4"),
        ({"bucket": "re.sults"}, "https://s3.eu-central-1.amazonaws.com/re.sults/a%20b/%C3%BC%2B%3F.mp4"),
        ({"endpoint": "http://minio:9000"}, "http://minio:9000/results/a%20b/%C3%BC%2B%3F.mp4"),
        (
            {"endpoint": "http://minio:9000", "public_endpoint": "https://files.example.org/s3"},
            "https://files.example.org/s3/results/a%20b/%C3%BC%2B%3F.mp4",
        ),
    ],
)
def test_links_are_right_for_their_region_signed_or_public(opened, changes, start):
    signed = opened(replace(AWS, lifetime=604_800, **changes)).url("a b/ü+?.mp4")
    assert signed.startswith(start + "?")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(signed).query))
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "604800"
    assert query["X-Amz-Credential"].split("/")[2] == changes.get("region", "eu-central-1")
    assert opened(replace(AWS, public=True, **changes)).url("a b/ü+?.mp4") == start


def test_an_s3_address_in_the_environment_is_ignored(opened, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert opened(AWS).url("a").startswith("https://results.s3.eu-central-1.amazonaws.com/a?")


@pytest.mark.parametrize("size", [1000, 9 * MEBIBYTE])
def test_an_object_carries_type_checksum_encryption_and_caching(opened, options, bucket, make_film, size):
    kms = replace(options, encryption="aws:kms", kms_key="some-key", cache_control="max-age=60")
    stored = opened(kms).put(make_film(size), "a.mp4", "video/mp4", Monitor())
    head = bucket.head_object(Bucket="results", Key="a.mp4")
    assert head["ContentType"] == "video/mp4"
    assert head["CacheControl"] == "max-age=60"
    assert head["Metadata"] == {"sha256": stored.sha256}
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "some-key")
    opened(replace(options, encryption="AES256")).put(make_film(size + 1), "a.mp4", "video/mp4", Monitor())
    assert bucket.head_object(Bucket="results", Key="a.mp4")["ServerSideEncryption"] == "AES256"


def test_repeated_content_creates_no_second_version(opened, options, bucket, make_film):
    bucket.put_bucket_versioning(Bucket="results", VersioningConfiguration={"Status": "Enabled"})
    storage = opened(options)
    for _ in range(3):
        storage.put(make_film(9 * MEBIBYTE), "a.mp4", "video/mp4", Monitor())
    storage.check()
    assert len(bucket.list_object_versions(Bucket="results")["Versions"]) == 1


def test_the_next_attempt_or_deletion_removes_orphaned_uploads(opened, options, bucket, make_film):
    storage = opened(options)

    def begin(key: str) -> None:
        bucket.create_multipart_upload(Bucket="results", Key=key)

    def left() -> list[str]:
        return [found["Key"] for found in bucket.list_multipart_uploads(Bucket="results").get("Uploads", [])]

    for key in ("a.mp4", "a.mp4", "a.mp4.other"):
        begin(key)
    storage.put(make_film(1000), "a.mp4", "video/mp4", Monitor())
    assert left() == ["a.mp4.other"]
    begin("a.mp4")
    storage.delete("a.mp4")
    assert left() == ["a.mp4.other"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bucket": ""}, "LIPSYNC_S3_BUCKET is not set"),
        ({"bucket": "no/bucket"}, "LIPSYNC_S3_BUCKET"),
        ({"bucket": "x"}, "LIPSYNC_S3_BUCKET"),
        ({"region": ""}, "LIPSYNC_S3_REGION is not set"),
        ({"region": "not a region"}, "LIPSYNC_S3_REGION"),
        ({"endpoint": "minio:9000"}, "LIPSYNC_S3_ENDPOINT"),
        ({"endpoint": "http://user:word@minio"}, "LIPSYNC_S3_ENDPOINT"),
        ({"endpoint": "http://minio:99999"}, "LIPSYNC_S3_ENDPOINT"),
        ({"public_endpoint": "ftp://minio"}, "LIPSYNC_S3_PUBLIC_ENDPOINT"),
        ({"secret_key": ""}, "LIPSYNC_S3_SECRET_KEY is not set"),
        ({"access_key": ""}, "LIPSYNC_S3_ACCESS_KEY is not set"),
        ({"encryption": "rot13"}, "LIPSYNC_S3_ENCRYPTION"),
        ({"kms_key": "some-key"}, "LIPSYNC_S3_KMS_KEY"),
        ({"lifetime": 0}, "LIPSYNC_URL_LIFETIME"),
        ({"lifetime": 604_801}, "LIPSYNC_URL_LIFETIME"),
    ],
)
def test_a_missing_or_invalid_setting_prevents_startup(opened, changes, message):
    with pytest.raises(SettingInvalid) as caught:
        opened(replace(AWS, **changes))
    check_error(caught.value, message)


def check_error(error: LipsyncError, message: str) -> None:
    assert str(error).startswith(message)
    assert "\n" not in str(error)
    assert "very secret" not in str(error)


def test_missing_credentials_prevent_startup(opened, options, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bare = replace(options, access_key="", secret_key="")
    for public in (False, True):
        with pytest.raises(SettingInvalid) as caught:
            opened(replace(bare, public=public)).check()
        check_error(caught.value, "LIPSYNC_S3_ACCESS_KEY is not set")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    opened(bare).check()
    monkeypatch.setenv("AWS_PROFILE", "unknown")
    with pytest.raises(SettingInvalid) as caught:
        opened(bare)
    check_error(caught.value, "LIPSYNC_S3_ACCESS_KEY: the credentials that boto3 found are not usable")


def test_a_missing_or_remote_bucket_prevents_startup(opened, options, make_film):
    missing = opened(replace(options, bucket="others"))
    for attempt in (missing.check, lambda: missing.put(make_film(9), "a", "video/mp4", Monitor())):
        with pytest.raises(SettingInvalid) as caught:
            attempt()
        check_error(caught.value, "LIPSYNC_S3_BUCKET: bucket others does not exist")
    with pytest.raises(SettingInvalid) as caught:
        opened(replace(options, region="us-west-2")).check()
    check_error(caught.value, "LIPSYNC_S3_REGION: bucket results is not in us-west-2, but in eu-west-1")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "InvalidAccessKeyId", "LIPSYNC_S3_ACCESS_KEY: the server does not know"),
        (403, "SignatureDoesNotMatch", "LIPSYNC_S3_SECRET_KEY: "),
        (403, "AccessDenied", "LIPSYNC_S3_BUCKET: the credentials lack write access"),
        (400, "ExpiredToken", "LIPSYNC_S3_SESSION_TOKEN: "),
        (400, "AuthorizationHeaderMalformed", "LIPSYNC_S3_REGION: "),
        (400, "KMS.NotFoundException", "LIPSYNC_S3_KMS_KEY: "),
        (404, "NoSuchBucket", "LIPSYNC_S3_BUCKET: bucket results does not exist"),
    ],
)
def test_a_refusal_names_the_setting(opened, serve, make_film, status, code, message):
    storage = opened(replace(AWS, endpoint=serve(lambda handler: answer(handler, status, code))))
    for attempt in (storage.check, lambda: storage.put(make_film(9), "a", "video/mp4", Monitor())):
        with pytest.raises(SettingInvalid) as caught:
            attempt()
        check_error(caught.value, message)


@pytest.mark.parametrize("status", [301, 400, 403, 200])
def test_the_region_that_a_server_names_is_passed_on(opened, serve, status):
    address = serve(lambda handler: answer(handler, status, x_amz_bucket_region="sa-east-1"))
    with pytest.raises(SettingInvalid) as caught:
        opened(replace(AWS, endpoint=address)).check()
    check_error(caught.value, "LIPSYNC_S3_REGION: bucket results is not in eu-central-1, but in sa-east-1")
    assert region_error({}, AWS) is None


def test_write_access_is_sufficient(opened, options, serve, make_film, bucket, moto_address):
    def no_looking(handler: BaseHTTPRequestHandler) -> None:
        if handler.command in ("HEAD", "GET"):
            answer(handler, 403, "AccessDenied")
        else:
            forward(handler, moto_address)

    storage = opened(replace(options, endpoint=serve(no_looking)))
    storage.check()
    stored = storage.put(make_film(9 * MEBIBYTE), "a.mp4", "video/mp4", Monitor())
    assert bucket.head_object(Bucket="results", Key="a.mp4")["Metadata"]["sha256"] == stored.sha256


def forward(handler: BaseHTTPRequestHandler, address: str, reply: bool = True) -> None:
    """Forward the request to another server; without ``reply``, drop its response."""
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "expect")}
    headers.setdefault("Content-Type", "application/octet-stream")  # or urllib calls it a form
    request = urllib.request.Request(address + handler.path, body or None, headers, method=handler.command)
    try:
        with urllib.request.urlopen(request) as response:
            status, received, content = response.status, response.headers, response.read()
    except urllib.error.HTTPError as exc:
        with exc:
            status, received, content = exc.code, exc.headers, exc.read()
    if not reply:
        handler.close_connection = True
        return
    handler.send_response(status)
    for name, value in received.items():
        if name.lower() not in ("connection", "content-length", "transfer-encoding"):
            handler.send_header(name, value)
    length = received["Content-Length"] if handler.command == "HEAD" else str(len(content))
    handler.send_header("Content-Length", length or "0")
    handler.end_headers()
    handler.wfile.write(content)


@pytest.mark.parametrize("size", [1000, 9 * MEBIBYTE])
def test_a_lost_response_to_a_finished_upload_is_not_a_failure(
    opened, options, serve, make_film, bucket, moto_address, size
):
    def deaf(handler: BaseHTTPRequestHandler) -> None:
        last = handler.command == "POST" and "uploadId=" in handler.path
        forward(handler, moto_address, reply=not last and not (handler.command == "PUT" and size == 1000))

    storage = opened(replace(options, endpoint=serve(deaf)))
    storage.put(make_film(size), "a.mp4", "video/mp4", Monitor())
    assert bucket.head_object(Bucket="results", Key="a.mp4")["ContentLength"] == size
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket="results")


@pytest.mark.parametrize("size", [1000, 20 * MEBIBYTE])
@pytest.mark.parametrize("failing", ["cut", "500", "503"])
def test_a_failed_upload_leaves_nothing_and_is_retryable(
    opened, options, serve, make_film, bucket, moto_address, size, failing
):
    broken = threading.Event()
    broken.set()

    def flaky(handler: BaseHTTPRequestHandler) -> None:
        late = size == 1000 or "partNumber=2" in handler.path
        if not (broken.is_set() and handler.command == "PUT" and late):
            forward(handler, moto_address)
        elif failing == "cut":
            handler.rfile.read(500)
            handler.close_connection = True
            handler.connection.close()
        else:
            answer(handler, int(failing), "SlowDown" if failing == "503" else "InternalError")

    storage = opened(replace(options, endpoint=serve(flaky)))
    with pytest.raises(StorageFailed) as caught:
        storage.put(make_film(size), "a.mp4", "video/mp4", Monitor())
    assert "\n" not in str(caught.value)
    assert caught.value.retryable
    assert "Contents" not in bucket.list_objects_v2(Bucket="results")
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket="results")
    broken.clear()
    storage.put(make_film(size), "a.mp4", "video/mp4", Monitor())
    assert bucket.head_object(Bucket="results", Key="a.mp4")["ContentLength"] == size


@pytest.mark.parametrize("size", [8 * MEBIBYTE, 20 * MEBIBYTE])
def test_a_slow_upload_is_cancelled_within_two_seconds(opened, options, serve, make_film, bucket, moto_address, size):
    began = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if handler.command != "PUT":
            return forward(handler, moto_address)
        if handler.headers.get("Expect"):
            handler.send_response_only(100)
            handler.end_headers()
        while handler.rfile.read(100_000):
            began.set()
            time.sleep(0.05)
        handler.close_connection = True
        return None

    monitor = Monitor()

    def stop() -> None:
        began.wait(10)
        monitor.cancel()
        stopped.append(time.monotonic())

    stopped: list[float] = []
    thread = threading.Thread(target=stop)
    thread.start()
    storage = opened(replace(options, endpoint=serve(slow)))
    with pytest.raises(Cancelled):
        storage.put(make_film(size), "a.mp4", "video/mp4", monitor)
    took = time.monotonic() - stopped[0]
    thread.join()
    assert took < 2
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket="results")


def test_an_unreachable_server_is_retryable(opened, make_film):
    storage = opened(replace(AWS, endpoint="http://127.0.0.1:1"))
    for attempt in (storage.check, lambda: storage.put(make_film(9), "a", "video/mp4", Monitor())):
        with pytest.raises(StorageFailed) as caught:
            attempt()
        check_error(caught.value, "LIPSYNC_S3_ENDPOINT http://127.0.0.1:1 is unreachable")


def test_a_server_that_is_not_s3_is_reported(opened, serve):
    def page(handler: BaseHTTPRequestHandler) -> None:
        body = b"" if handler.command == "HEAD" else b"<html><br>welcome"
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with pytest.raises(StorageFailed) as caught:
        opened(replace(AWS, endpoint=serve(page))).check()
    check_error(caught.value, "the request to bucket results failed: 500")  # boto3's text


@pytest.mark.parametrize(
    ("size", "part"), [(0, 8), (1, 8), (80_000 * MEBIBYTE, 8), (80_000 * MEBIBYTE + 1, 9), (5 << 40, 525)]
)
def test_parts_grow_with_the_file(size, part):
    assert part_size(size) == part * MEBIBYTE
    assert size <= 10_000 * part_size(size)


def test_secrets_are_not_shown():
    assert "very secret" not in repr(AWS)


def test_boto3_is_imported_only_where_it_is_needed():
    program = (
        "import sys, lipsync.storage, lipsync.storage.s3, lipsync.storage.local, lipsync.storage.keys\n"
        "assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_boto3_the_extra_is_named():
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "from lipsync.storage.base import S3Options; from lipsync.storage.s3 import S3Storage\n"
        "from lipsync.errors import ExtraMissing\n"
        "try: S3Storage.open(S3Options('results', 'eu-west-1'))\n"
        "except ExtraMissing as exc: print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "lip-sync-service[s3]" in done.stdout


def test_a_client_is_closed_with_its_storage(options, make_film):
    with closing(S3Storage.open(options)) as storage:
        storage.put(make_film(9), "a.mp4", "video/mp4", Monitor())
