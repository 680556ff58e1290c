"""Which addresses a URL that a tenant wrote may reach.

Asked by `effects/dialer.py` about every *resolved* address just before it connects, so a name
that resolves to something else the second time gains nothing (design, "Outgoing connections";
§13). Promises: loopback, link-local, private, shared, multicast and reserved ranges and cloud
metadata are refused, in whatever notation or wrapping, unless the class allows them by range
or host name, or files are served (`egress_open`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Written out: what `ipaddress.is_private` covers differs between versions of Python.
_REFUSED_V4: Final = tuple(
    (ipaddress.IPv4Network(cidr), what)
    for cidr, what in (
        ("169.254.169.254/32", "cloud metadata"),
        ("168.63.129.16/32", "cloud metadata"),  # Azure, in a public range
        ("100.100.100.200/32", "cloud metadata"),  # Alibaba
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved"),
        ("198.51.100.0/24", "reserved"),
        ("203.0.113.0/24", "reserved"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_V6: Final = tuple(
    (ipaddress.IPv6Network(cidr), what)
    for cidr, what in (
        ("fd00:ec2::254/128", "cloud metadata"),  # AWS
        ("fd20:ce::254/128", "cloud metadata"),  # Google
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "private"),
        ("100::/64", "reserved"),
        ("2001::/23", "reserved"),  # Teredo among them
        ("2001:db8::/32", "reserved"),
        ("3fff::/20", "reserved"),
        ("5f00::/16", "reserved"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
_IPV4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class EgressPolicy:
    """What the class allows; refuses everything private until told otherwise."""

    __slots__ = ("_hosts", "_networks", "_open")

    def __init__(self, allow: Iterable[str] = (), *, is_open: bool = False) -> None:
        self._networks: tuple[Network, ...] = ()
        self._hosts: frozenset[str] = frozenset()
        self._open = False
        self.update(allow=allow, is_open=is_open)

    def update(self, *, allow: Iterable[str], is_open: bool) -> None:
        """Replace what is allowed: ranges, addresses and host names; `is_open` allows all."""
        networks: list[Network] = []
        hosts: set[str] = set()
        for entry in allow:
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                hosts.add(_plain(entry))
        self._networks = tuple(networks)
        self._hosts = frozenset(hosts)
        self._open = is_open

    def refusal(self, host: str, address: str) -> str:
        """Why `address`, to which `host` resolved, may not be dialled; empty when it may."""
        if self._open or _plain(host) in self._hosts:
            return ""
        try:
            parsed: Address = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address!r} is not an address"
        if self._allows(parsed):
            return ""
        carried = embedded_v4(parsed)
        if carried is not None:
            if self._allows(carried):
                return ""
            parsed = carried
        what = _kind(parsed)
        return f"{address} is a {what} address" if what else ""

    def _allows(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def __repr__(self) -> str:
        if self._open:
            return "<EgressPolicy open>"
        allowed = [*map(str, self._networks), *sorted(self._hosts)]
        return f"<EgressPolicy allows {', '.join(allowed) or 'nothing private'}>"


def embedded_v4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64, 6to4."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _kind(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return next((what for network, what in _REFUSED_V4 if address in network), "")
    return next((what for network, what in _REFUSED_V6 if address in network), "")


def _plain(host: str) -> str:
    return host.strip("[]").lower().removesuffix(".")
