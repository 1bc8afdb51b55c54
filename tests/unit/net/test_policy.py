"""Address policy: the public internet, and hosts allowed by the operator."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from lipsync.errors import AddressForbidden
from lipsync.net.policy import check_addresses, is_public, literal_address, system_resolver
from lipsync.net.url import parse

FORBIDDEN = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255
240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:0:127.0.0.1
64:ff9b::127.0.0.1 64:ff9b::10.1.2.3 64:ff9b::a9fe:a9fe 64:ff9b:1::1 64:ff9b:1::8.8.8.8 100::1 1::1
2001::1 2001:0:4136:e378:8000:63bf:80ff:fffe 2001:2::1 2001:10::1 2001:db8::1 2002:7f00:1::1 2002:a00:1::1
2002:a9fe:a9fe::1 3fff::1 4000::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fdff:ffff::1 fe80::1 fe80::1%eth0 febf::1
fec0::1 ff02::1 ff0e::1 2606:4700::1%eth0
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 168.63.129.17
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
223.255.255.255 2606:4700:4700::1111 2001:4860:4860::8888 2a00:1450:4001::200e ::ffff:8.8.8.8 64:ff9b::8.8.8.8
"""


@pytest.mark.parametrize("text", FORBIDDEN.split())
def test_private_and_reserved_addresses(text):
    assert not is_public(ip_address(text))
    with pytest.raises(AddressForbidden) as caught:
        check_addresses(parse("http://films.test/"), ("8.8.8.8", text), ())
    assert text not in str(caught.value)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_public_addresses(text):
    assert is_public(ip_address(text))
    assert check_addresses(parse("http://films.test/"), (text,), ()) == (text,)


@pytest.mark.parametrize(
    ("allowed", "machine"),
    [
        ("films.test", "10.1.2.3"),
        ("FILMS.test.", "127.0.0.1"),
        ("10.1.0.0/16", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3/16", "10.1.9.9"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("fd00::/8", "fd00::7"),
        ("::1", "::1"),
    ],
)
def test_allowed_names_and_networks(allowed, machine):
    address = parse("http://films.test/")
    assert check_addresses(address, (machine,), (allowed,)) == (machine,)
    with pytest.raises(AddressForbidden):
        check_addresses(parse("http://other.test/"), (machine, "192.168.7.7"), (allowed,))


@pytest.mark.parametrize("allowed", ["films", "sub.films.test", "test", "films.test:80", "*", "*.test", "10.2.0.0/16"])
def test_names_similar_to_allowed_ones_are_forbidden(allowed):
    with pytest.raises(AddressForbidden):
        check_addresses(parse("http://films.test/"), ("10.1.2.3",), (allowed,))


def test_an_allowed_name_may_be_internationalised():
    assert check_addresses(parse("http://bücher.test/"), ("10.0.0.1",), ("Bücher.test",)) == ("10.0.0.1",)


def test_a_literal_is_known_from_a_name():
    assert literal_address("10.0.0.1") == "10.0.0.1"
    assert literal_address("2606:4700::1") == "2606:4700::1"
    assert literal_address("films.test") is None


def test_the_system_knows_localhost():
    assert "127.0.0.1" in system_resolver("localhost", 80)
    with pytest.raises(socket.gaierror):
        system_resolver("unknown.invalid", 80)
