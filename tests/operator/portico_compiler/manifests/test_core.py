"""Kubernetes' own kinds are read as far as needed, whatever else they hold."""

from __future__ import annotations

import msgspec

from portico_compiler.manifests import core


def test_services() -> None:
    given = {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1"],
            "selector": {"app": "a"},
            "ports": [{"name": "web", "port": 80, "targetPort": "http", "nodePort": 30080}],
        }
    }
    spec = msgspec.convert(given, core.Service).spec
    assert spec.cluster_ip == "10.0.0.1"
    assert spec.ports[0] == core.ServicePort(port=80, name="web", target_port="http")


def test_endpoint_slices() -> None:
    given = {
        "addressType": "IPv6",
        "endpoints": [
            {
                "addresses": ["fd00::1"],
                "conditions": {"ready": False, "serving": True, "terminating": True},
                "nodeName": "n1",
                "zone": "a",
            },
            {"addresses": ["fd00::2"]},
        ],
        "ports": [{"name": "", "port": 80, "protocol": "TCP", "appProtocol": "http"}],
    }
    found = msgspec.convert(given, core.EndpointSlice)
    assert found.endpoints[0].conditions.terminating
    assert found.endpoints[1].conditions.ready is None
    assert found.ports[0].port == 80


def test_grants() -> None:
    given = {
        "spec": {
            "from": [{"group": "portico.dev", "kind": "Route", "namespace": "a"}],
            "to": [{"group": "", "kind": "Service", "name": "b"}, {"group": "", "kind": "Secret"}],
        }
    }
    spec = msgspec.convert(given, core.ReferenceGrant).spec
    assert spec.from_[0].kind == "Route"
    assert [to.name for to in spec.to] == ["b", None]


def test_secrets_and_config_maps() -> None:
    assert msgspec.convert({"type": "Opaque", "data": {"a": "Yg=="}}, core.Secret).type == "Opaque"
    assert msgspec.convert({"data": {"a": "b"}, "immutable": True}, core.ConfigMap).data
