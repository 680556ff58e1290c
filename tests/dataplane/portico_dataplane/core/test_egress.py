"""Which resolved addresses a tenant's URL may reach: design §6 "Outgoing connections", §13."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.egress import EgressPolicy

CLOSED = EgressPolicy()


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.96.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "shared"),
        ("100.127.255.255", "shared"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("100.100.100.200", "metadata"),
        ("192.0.0.192", "reserved"),
        ("198.18.0.1", "reserved"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fc00::1", "private"),
        ("fdff::1", "private"),
        ("fec0::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "reserved"),
        # IPv4 in IPv6's clothes.
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:a9fe:a9fe", "metadata"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2001:0:7f00:1::1", "reserved"),
    ],
)
def test_refused(address: str, what: str) -> None:
    reason = CLOSED.refusal("evil.example", address)
    assert what in reason
    assert address in reason


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "11.0.0.0",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ],
)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert CLOSED.refusal("good.example", address) == ""


def test_what_is_no_address_is_refused() -> None:
    assert CLOSED.refusal("h", "localhost") == "'localhost' is not an address"
    assert CLOSED.refusal("h", "") != ""


def test_a_range_is_allowed() -> None:
    policy = EgressPolicy(["10.1.0.0/16", "192.168.0.7", "fd12::/16", "::1"])
    assert policy.refusal("h", "10.1.2.3") == ""
    assert policy.refusal("h", "::ffff:10.1.2.3") == ""
    assert policy.refusal("h", "10.2.0.1") != ""
    assert policy.refusal("h", "192.168.0.7") == ""
    assert policy.refusal("h", "192.168.0.8") != ""
    assert policy.refusal("h", "fd12::1") == ""
    assert policy.refusal("h", "::1") == ""


def test_a_host_is_allowed_by_name_in_any_case() -> None:
    policy = EgressPolicy(["Vault.internal.example."])
    assert policy.refusal("vault.INTERNAL.example", "10.0.0.1") == ""
    assert policy.refusal("vault.internal.example.", "10.0.0.1") == ""
    assert policy.refusal("x.vault.internal.example", "10.0.0.1") != ""


def test_files_reach_everything() -> None:
    policy = EgressPolicy(is_open=True)
    assert policy.refusal("h", "127.0.0.1") == ""
    assert repr(policy) == "<EgressPolicy open>"
    policy.update(allow=["10.0.0.0/8", "b", "a"], is_open=False)
    assert policy.refusal("h", "127.0.0.1") != ""
    assert repr(policy) == "<EgressPolicy allows 10.0.0.0/8, a, b>"
    assert repr(CLOSED) == "<EgressPolicy allows nothing private>"


@given(st.ip_addresses())
def test_nothing_passes_that_python_knows_to_be_local(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    local = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_private
    )
    if local:
        assert CLOSED.refusal("h", str(address)) != ""
