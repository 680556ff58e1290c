"""Ports: what delivery and the Lease provide is what is asked of them."""

from __future__ import annotations

from portico_operator.cluster.lease import Lease
from portico_operator.delivery.server import StreamServer
from portico_operator.ports import Delivery, Fleet, Leadership, PodReport


def as_delivery(server: StreamServer) -> Delivery:
    """mypy says whether it is one."""
    return server


def as_fleet(server: StreamServer) -> Fleet:
    """mypy says whether it is one."""
    return server


def as_leadership(lease: Lease) -> Leadership:
    """mypy says whether it is one."""
    return lease


def test_a_report_needs_no_marks() -> None:
    assert PodReport("u", "p", "d") == ("u", "p", "d", {}, {})
