"""Address policy (SSRF guard): allow the public internet, and private hosts that the operator names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from lipsync.errors import AddressForbidden
from lipsync.net.url import Address, host_name

IPAddress = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

# IANA's special-purpose registries. The standard library's is_global differs between Python releases.
FORBIDDEN_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's metadata, although the address looks public
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
PUBLIC_6 = IPv6Network("2000::/3")  # all global unicast; excludes loopback, private, link-local and multicast
FORBIDDEN_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, including Teredo, which embeds IPv4 addresses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which embeds IPv4 addresses
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Look up a host's addresses with the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def check_addresses(address: Address, found: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the IP addresses of a host if every one of them may be connected to.

    Raises AddressForbidden, whose message does not reveal the IP addresses: names of an internal network stay private.
    """
    if address.host in {host_name(entry) for entry in allowed}:
        return tuple(found)
    allowed_networks = [network for entry in allowed if (network := _network(entry)) is not None]
    for ip in (_unmapped(ip_address(text)) for text in found):
        if not is_public(ip) and not any(ip in network for network in allowed_networks):
            raise AddressForbidden(f"{address}: not on the public internet, and not in LIPSYNC_INPUT_ALLOWED_HOSTS")
    return tuple(found)


def literal_address(host: str) -> str | None:
    """Return the host if it is an IP address, None if it is a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def is_public(ip: IPAddress) -> bool:
    """Whether this is a unicast address of the public internet, also after unwrapping an embedded IPv4 address."""
    ip = _unmapped(ip)
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in FORBIDDEN_4)
    if ip.scope_id is not None:
        return False
    if ip in NAT64:
        return is_public(IPv4Address(int(ip) & 0xFFFFFFFF))
    return ip in PUBLIC_6 and not any(ip in network for network in FORBIDDEN_6)


def _unmapped(ip: IPAddress) -> IPAddress:
    """Unwrap an IPv4-mapped address: the system connects ::ffff:127.0.0.1 to 127.0.0.1."""
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return ip if mapped is None else mapped


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None
