"""Signed links that expire."""

from __future__ import annotations

import pytest

from lipsync.storage.signing import sign_link, verify_link

SECRET = "0123456789abcdef"


def test_a_signature_holds_until_it_expires():
    token = sign_link("a/b.mp4", 1000, SECRET)
    assert verify_link("a/b.mp4", 1000, token, SECRET, 999.9)
    assert not verify_link("a/b.mp4", 1000, token, SECRET, 1000)


def test_a_signature_is_known_to_be_hmac_sha256():
    by_openssl = "e8724b328b1ff32ed29b591b600530e203089147f86d98385b8d5da3e2fa7b29"
    assert sign_link("k", 7, SECRET) == by_openssl


@pytest.mark.parametrize(
    ("key", "expires", "secret"),
    [
        ("a/c.mp4", 1000, SECRET),
        ("a/b.mp4", 1001, SECRET),
        ("a/b.mp4", 1000, SECRET + "x"),
        ("0\na/b.mp4", 100, SECRET),
    ],
)
def test_a_signature_is_for_one_key_one_time_and_one_secret(key, expires, secret):
    assert not verify_link(key, expires, sign_link("a/b.mp4", 1000, SECRET), secret, 0)


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", "0" * 64])
def test_an_invalid_signature_is_refused(token):
    assert not verify_link("a/b.mp4", 1000, token, SECRET, 0)
