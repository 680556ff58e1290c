"""Manifests as data, for tests that make many or vary one."""

from __future__ import annotations

from typing import Any

VERSION = "portico.dev/v1alpha1"
URL = {"url": "http://backend.example/"}


def manifest(kind: str, name: str, spec: Any = None, namespace: str = "default") -> dict[str, Any]:
    """A document of one of our kinds."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec or {}}


def route(
    name: str, key: str, api: str = "shop", kind: str = "RestApi", **spec: Any
) -> dict[str, Any]:
    """A Route to a URL, unless `integration` says otherwise."""
    body = {"apiRef": {"name": api, "kind": kind}, "routeKey": key, "integration": URL}
    return manifest("Route", name, body | spec)


def service(name: str, *ports: int, namespace: str = "default") -> dict[str, Any]:
    """A Service with these ports."""
    offered = [{"name": f"p{port}", "port": port} for port in ports]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": offered}}
