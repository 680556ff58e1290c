"""Ports: what delivery provides is what is asked of it."""

from __future__ import annotations

from portico_operator.delivery.server import StreamServer
from portico_operator.ports import Delivery


def as_delivery(server: StreamServer) -> Delivery:
    """mypy says whether it is one."""
    return server


def test_what_is_asked_is_there() -> None:
    asked = {name for name in vars(Delivery) if not name.startswith("_")}
    assert asked <= vars(StreamServer).keys()
