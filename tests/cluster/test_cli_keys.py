"""`portico keys` on a real API server: made strictly, owned, listed, switched, refused in words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from control_plane import ControlPlane
from portico_cli.main import main


def keys(cluster: ControlPlane, namespace: str, action: str, *arguments: str) -> int:
    where = ["--kubeconfig", str(cluster.kubeconfig), "-n", namespace]
    return main(["keys", action, *arguments, *where])


def get(cluster: ControlPlane, namespace: str, kind: str, name: str) -> Any:
    return json.loads(cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json").stdout)


def test_from_made_to_switched_off(
    cluster: ControlPlane, fresh_namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ns = fresh_namespace
    assert keys(cluster, ns, "create", "acme", "--plan", "gold", "--customer", "c") == 0
    value = capsys.readouterr().out.strip()
    made = get(cluster, ns, "apikey", "acme")
    assert made["spec"]["usagePlanRefs"] == [{"name": "gold"}]
    secret = get(cluster, ns, "secret", "acme")
    assert base64.b64decode(secret["data"]["value"]).decode() == value
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ApiKey", made["metadata"]["uid"])
    assert keys(cluster, ns, "disable", "acme") == 0
    assert get(cluster, ns, "apikey", "acme")["spec"]["enabled"] is False
    capsys.readouterr()
    assert keys(cluster, ns, "list", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["enabled"]) == ("acme", False)
    assert keys(cluster, ns, "enable", "acme") == 0
    assert get(cluster, ns, "apikey", "acme")["spec"]["enabled"] is True


def test_what_exists_is_not_overwritten(
    cluster: ControlPlane, fresh_namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ns = fresh_namespace
    assert keys(cluster, ns, "create", "acme") == 0
    assert keys(cluster, ns, "create", "acme") == 1
    assert "already exists" in capsys.readouterr().err


def test_a_key_without_its_secret_is_taken_back(
    cluster: ControlPlane, fresh_namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ns = fresh_namespace
    cluster.kubectl("create", "secret", "generic", "taken", "-n", ns)
    assert keys(cluster, ns, "create", "taken") == 1
    assert "already exists" in capsys.readouterr().err
    listed = json.loads(cluster.kubectl("get", "apikeys", "-n", ns, "-o", "json").stdout)
    assert listed["items"] == []


def test_what_is_not_there(
    cluster: ControlPlane, fresh_namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys(cluster, fresh_namespace, "disable", "nobody") == 1
    said = capsys.readouterr().err
    assert "not found" in said
    assert said.count("\n") == 1
