"""Integrations: their defaults are those of AWS, and they are told apart by a tag."""

from __future__ import annotations

import msgspec
import pytest

from portico_ir.integrations import Broken, HttpProxy, Integration, LambdaProxy, Mock
from portico_ir.targets import UrlTarget

TARGET = UrlTarget(url="http://h")


@pytest.mark.parametrize(
    "integration",
    [
        HttpProxy(targets=(TARGET,)),
        LambdaProxy(target=TARGET, function="f"),
        Mock(),
        Broken(reason="r"),
    ],
    ids=lambda integration: type(integration).__name__,
)
def test_they_travel_by_their_tag(integration: Integration) -> None:
    raw = msgspec.json.encode(integration)
    assert msgspec.json.decode(raw, type=Integration) == integration


def test_they_wait_29_seconds_and_take_10_mebibytes() -> None:
    """AWS §3.20, §11.2."""
    for made in (HttpProxy(targets=(TARGET,)), LambdaProxy(target=TARGET, function="f")):
        assert made.timeout_ms == 29_000
        assert made.max_request_body == 10 * 1024 * 1024
