"""PorticoClass is read whole (design.md §3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests.classes import PorticoClass

SPEC: dict[str, Any] = {
    "default": True,
    "baseDomain": "apis.example.com",
    "addressTemplate": "{api}-{namespace}.{baseDomain}",
    "accountId": "123456789012",
    "region": "eu-central-1",
    "accountThrottle": {"rateLimit": 10_000, "burstLimit": 5000},
    "allowedDomains": [
        {
            "namespaceSelector": {
                "matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}],
            },
            "domains": ["*.example.com"],
        }
    ],
    "egress": {"allow": ["10.0.0.0/8", "db.internal"]},
    "trustedProxies": ["192.0.2.0/24", "2001:db8::/32", "192.0.2.1"],
    "store": {
        "redis": {
            "url": "redis://r:6379/0",
            "secretRef": {"name": "a", "namespace": "n", "key": "b"},
        },
        "failureMode": "Refuse",
    },
    "generateApiKeys": True,
}


def test_every_field_is_read() -> None:
    spec = msgspec.convert({"spec": SPEC}, PorticoClass).spec
    names = {f.encode_name: f for f in msgspec.structs.fields(type(spec))}
    assert set(names) == set(SPEC)
    for name, field in names.items():
        assert getattr(spec, field.name) != field.default, name


@pytest.mark.parametrize(
    "spec",
    [
        {"accountId": "12345"},
        {"accountId": 123456789012},
        {"region": "US East"},
        {"baseDomain": "a b"},
        {"trustedProxies": ["anywhere"]},
        {"egress": {"deny": []}},
        {"store": {"failureMode": "Guess"}},
    ],
)
def test_what_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spec": spec}, PorticoClass)
