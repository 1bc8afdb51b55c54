"""Strict parsing of addresses, and redaction of their secrets."""

from __future__ import annotations

import pytest

from lipsync.errors import AddressForbidden, LipsyncError, OptionInvalid
from lipsync.net.url import parse, redact


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("http://films.test", "films.test", 80, "/"),
        ("HTTPS://Films.Test./a/b.mp4?x=1#part", "films.test", 443, "/a/b.mp4?x=1"),
        ("http://films.test:8080/a%20b.mp4", "films.test", 8080, "/a%20b.mp4"),
        ("http://bücher.example/ü.mp4", "xn--bcher-kva.example", 80, "/%C3%BC.mp4"),
        ("http://BÜCHER.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://[2606:4700:0:0::1111]:81/", "2606:4700::1111", 81, "/"),
        ("http://8.8.8.8/", "8.8.8.8", 80, "/"),
        ("http://１２７.０.０.１/", "127.0.0.1", 80, "/"),
        ("http://films。test/", "films.test", 80, "/"),
        ("http://a_b.films.test/@x", "a_b.films.test", 80, "/@x"),
    ],
)
def test_an_address_is_parsed(text, host, port, target):
    address = parse(text)
    assert (address.host, address.port, address.target) == (host, port, target)
    assert parse(address.url) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "film.mp4",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://films.test/a",
        "gopher://films.test/a",
        "http:films.test/a",
        "http:///a",
        "http://",
        "http://:80/a",
        "http://user@/a",
        "http://a@b@films.test/",
        "http://films.test:0/",
        "http://films.test:65536/",
        "http://films.test:8o/",
        "http://films.test:-1/",
        "http://films..test/",
        "http://films.test../",
        "http://.films.test/",
        "http://fil ms.test/",
        "http://films.test/a b",
        "http://films.test/\r\nHost: x",
        "http://films.test/\ud800",
        "http://good.test\\@films.test/",
        "http://fi\tlms.test/",
        " http://films.test/",
        "http://films.test/\u2028",
        "http://[::1/",
        "http://[::1]x/",
        "http://[1:2:3]/",
        "http://::1/",
        "http://films.test*/",
        "http://" + "a" * 64 + ".test/",
        "http://" + "a." * 200 + "test/",
        "http://films.test/" + "a" * 9000,
    ],
)
def test_an_invalid_web_address_is_refused(text):
    with pytest.raises(OptionInvalid) as caught:
        parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "0",
        "00000000177.0.0.1",
        "134744072",
        "1.2.3.4.5",
        "256.1.1.1",
        "0X7F.0.0.1",
        "films.0x",
        "１２７.１",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "%31%32%37.0.0.1",
    ],
)
def test_ambiguous_hosts_are_refused(host):
    with pytest.raises(AddressForbidden):
        parse(f"http://{host}/")


SECRET = [
    "http://me:geheim@films.test/a.mp4",
    "http://geheim@films.test/",
    "https://me:geheim@films.test:99999/",
    "https://me:geheim@films.test:x/",
    "http://me:12/geheim@films.test/",
    "http://me:12?geheim@films.test/",
    "http://me:12#geheim@films.test/",
    "http://me:ge/heim-geheim@films.test/",
    "http://a@me:geheim@films.test/",
    "http://me:geheim@/",
    "http://me:geheim@[::1",
    "http://films.test/a?signature=geheim",
    "http://films.test/a?x=1&token=geheim#geheim",
    "ftp://me:geheim@films.test/",
    "me:geheim@films.test",
    "http:me:geheim@films.test",
    "http://me:geheim\n@films.test/",
    "s3://key:geheim@bucket/x",
    "http://me:gehe%69m@127.1/",
    "//me:geheim@films.test/",
]


@pytest.mark.parametrize("text", SECRET)
def test_secrets_are_never_shown(text):
    redacted = redact(text)
    assert "geheim" not in redacted
    assert redacted.isprintable()
    try:
        address = parse(text)
    except LipsyncError as exc:
        message = f"{exc} {exc!r} {exc.__cause__!r} {exc.__context__!r}"
    else:
        message = f"{address} {address!r}"
    assert "geheim" not in message


def test_redaction_keeps_the_rest():
    assert redact("https://me:pw@films.test:8443/a/b.mp4?x=1") == "https://films.test:8443/a/b.mp4?..."
    assert redact("film.mp4?x") == "film.mp4"
    assert redact("") == "the address"
    assert len(redact("http://films.test/" + "a" * 5000)) < 250


def test_credentials_become_basic_authentication():
    assert parse("http://me:p%40ss@films.test/").authorization == "Basic bWU6cEBzcw=="
    assert parse("http://films.test/").authorization is None
    assert "bWU6" not in repr(parse("http://me:p%40ss@films.test/"))
