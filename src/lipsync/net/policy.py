"""Which machines may be asked: the public internet's, and those that were opened on purpose."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from lipsync.errors import AddressForbidden
from lipsync.net.url import Address, host_name

Machine = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

# IANA's special-purpose registries. The standard library's is_global changes its mind between Python's releases.
FORBIDDEN_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's metadata, on an address that looks public
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays from IPv6
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
PUBLIC_6 = IPv6Network("2000::/3")  # all that is given out; loopback, private, link-local and multicast lie outside
FORBIDDEN_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, Teredo among them, which carries IPv4 addresses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries IPv4 addresses
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")


def system_resolver(host: str, port: int) -> Sequence[str]:
    """What the system says are the host's addresses. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked(address: Address, found: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """The machines that may be connected to, if every one that the host's name stands for may be.

    Raises AddressForbidden, which does not tell what the name stands for: that may be nobody's business.
    """
    if address.host in {host_name(entry) for entry in allowed}:
        return tuple(found)
    open_networks = [network for entry in allowed if (network := _network(entry)) is not None]
    for machine in (_unmapped(ip_address(text)) for text in found):
        if not is_public(machine) and not any(machine in network for network in open_networks):
            raise AddressForbidden(f"{address}: nothing is fetched from there, for it is not on the public internet")
    return tuple(found)


def literal(host: str) -> str | None:
    """The host itself, if it is an address and not a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def is_public(machine: Machine) -> bool:
    """Whether this is one machine on the public internet, also where it only stands for another one."""
    machine = _unmapped(machine)
    if isinstance(machine, IPv4Address):
        return not any(machine in network for network in FORBIDDEN_4)
    if machine.scope_id is not None:
        return False
    if machine in NAT64:
        return is_public(IPv4Address(int(machine) & 0xFFFFFFFF))
    return machine in PUBLIC_6 and not any(machine in network for network in FORBIDDEN_6)


def _unmapped(machine: Machine) -> Machine:
    """::ffff:127.0.0.1 is 127.0.0.1 to the system that connects to it."""
    mapped = machine.ipv4_mapped if isinstance(machine, IPv6Address) else None
    return machine if mapped is None else mapped


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None
