"""Secrets of ApiKeys that the operator makes, on a real API server: once, owned, for good."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi, Refused
from manifests import manifest
from operators import condition, eventually, running


def apply(api: KubernetesApi, namespace: str, *documents: dict[str, Any]) -> None:
    for document in documents:
        api.apply({**document, "metadata": {**document["metadata"], "namespace": namespace}})


def secret(api: KubernetesApi, namespace: str, name: str) -> dict[str, Any] | None:
    try:
        return api.get("v1", "Secret", name, namespace)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


@pytest.fixture
async def generating(cluster: ControlPlane) -> AsyncIterator[None]:
    """The default class has keys generated, for one test."""
    own = manifest("PorticoClass", "portico", {"default": True, "generateApiKeys": True})
    await asyncio.to_thread(cluster.api.apply, {**own, "metadata": {"name": "portico"}})
    yield
    own["spec"] = {"default": True}
    await asyncio.to_thread(cluster.api.apply, {**own, "metadata": {"name": "portico"}})


class Cluster:
    """Its default class, which `running` would set back."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.api, self.namespace = plane.api, namespace

    def generate(self) -> None:
        own = manifest("PorticoClass", "portico", {"default": True, "generateApiKeys": True})
        self.api.apply({**own, "metadata": {"name": "portico"}})

    def resolved(self, name: str) -> tuple[str, str, str]:
        return condition(self.api, "ApiKey", name, self.namespace, "ResolvedRefs")

    def value(self, name: str, entry: str = "value") -> str:
        found = secret(self.api, self.namespace, name)
        data = (found or {}).get("data") or {}
        return base64.b64decode(data.get(entry, "")).decode()


async def test_a_missing_secret_is_made_and_owned(
    cluster: ControlPlane, fresh_namespace: str, generating: None
) -> None:
    bed = Cluster(cluster, fresh_namespace)
    taken = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "taken"}}
    async with running(cluster, fresh_namespace, key_generation=True) as app:
        await asyncio.to_thread(bed.generate)
        await asyncio.to_thread(
            apply,
            bed.api,
            fresh_namespace,
            {**taken, "stringData": {"other": "mine"}},
            manifest("ApiKey", "acme", {"secretRef": {"name": "acme-key"}}),
            manifest("ApiKey", "named", {"secretRef": {"name": "named", "key": "token"}}),
            manifest("ApiKey", "taken", {"secretRef": {"name": "taken", "key": "value"}}),
        )
        first = await eventually(lambda: bed.value("acme-key"), "a value")
        assert len(first) == 40
        assert first.isascii()
        assert first.isprintable()
        assert len(await eventually(lambda: bed.value("named", "token"), "another")) == 40
        made = secret(bed.api, fresh_namespace, "acme-key")
        assert made is not None
        (owner,) = made["metadata"]["ownerReferences"]
        key = bed.api.get(GROUP_VERSION, "ApiKey", "acme", fresh_namespace)
        assert (owner["kind"], owner["name"]) == ("ApiKey", "acme")
        assert owner["uid"] == key["metadata"]["uid"]
        await eventually(lambda: bed.resolved("acme")[0] == "True", "the key to be resolved")
        # What somebody has made is his.
        await eventually(lambda: bed.resolved("taken")[0] == "False", "the status")
        _, reason, message = bed.resolved("taken")
        assert reason == "RefNotFound"
        assert "has no entry 'value'" in message
        assert bed.value("taken", "other") == "mine"
        assert bed.value("taken") == ""
        assert app.lease.is_leader()
        # One that is deleted is made anew: that is how a value is changed.
        await asyncio.to_thread(bed.api.delete, "v1", "Secret", "acme-key", fresh_namespace)
        second = await eventually(lambda: bed.value("acme-key"), "a new value")
        assert second != first


async def test_without_the_right_status_says_what_to_set(
    cluster: ControlPlane, fresh_namespace: str, generating: None
) -> None:
    bed = Cluster(cluster, fresh_namespace)
    async with running(cluster, fresh_namespace) as app:
        await asyncio.to_thread(bed.generate)
        wanted = manifest("ApiKey", "acme", {"secretRef": {"name": "acme"}})
        await asyncio.to_thread(apply, bed.api, fresh_namespace, wanted)
        await eventually(lambda: "may not create" in bed.resolved("acme")[2], "the status")
        status, _, message = bed.resolved("acme")
        assert status == "False"
        assert "operator.apiKeyGeneration=true" in message
        assert app.mint._wanted == ()
    assert secret(bed.api, fresh_namespace, "acme") is None


async def test_a_class_that_does_not_say_so_gets_none(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    bed = Cluster(cluster, fresh_namespace)
    async with running(cluster, fresh_namespace, key_generation=True):
        wanted = manifest("ApiKey", "acme", {"secretRef": {"name": "acme"}})
        await asyncio.to_thread(apply, bed.api, fresh_namespace, wanted)
        await eventually(lambda: bed.resolved("acme")[0] == "False", "the status")
        assert bed.resolved("acme")[2].endswith(f"there is no Secret {fresh_namespace}/acme")
    assert secret(bed.api, fresh_namespace, "acme") is None


async def test_of_two_replicas_one_makes_it(
    cluster: ControlPlane, fresh_namespace: str, generating: None
) -> None:
    bed = Cluster(cluster, fresh_namespace)
    settings: dict[str, Any] = {"key_generation": True}
    async with (
        running(cluster, fresh_namespace, "one", **settings) as one,
        running(cluster, fresh_namespace, "two", **settings) as two,
    ):
        await eventually(lambda: one.lease.is_leader() or two.lease.is_leader(), "a leader")
        await asyncio.to_thread(bed.generate)
        wanted = manifest("ApiKey", "acme", {"secretRef": {"name": "acme"}})
        await asyncio.to_thread(apply, bed.api, fresh_namespace, wanted)
        await eventually(lambda: bed.resolved("acme")[0] == "True", "the key to be resolved")
        idle = two if one.lease.is_leader() else one
        assert idle.mint._attempts == {}
        version = secret(bed.api, fresh_namespace, "acme")
        assert version is not None
        # Made once and never touched again.
        assert len(version["metadata"]["managedFields"]) == 1
