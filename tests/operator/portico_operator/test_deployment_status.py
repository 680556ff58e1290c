"""What Stages and ApiDeployments say of deployments is read back the same."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from deployments import Raw, compiled, deployment, revision, shop, stage
from portico_compiler import Object, ObjectRef
from portico_compiler.world import CURRENT
from portico_operator.deployment_status import fields, recorded

RAWS = [*shop(), *revision(shop(), "v1", own=True), deployment("v1"), stage("prod", "v1")]
RAWS += [stage("test"), stage("lost", "gone"), deployment("v2")]


def said(raws: list[Raw], kind: str, name: str, before: str = "") -> dict[str, Any]:
    ref = ObjectRef(kind, "default", name)
    known = Object(ref=ref, body={}, resource_version="", uid="", recorded=before)
    return fields(known, compiled(raws).deployments)


def test_an_api_deployment_says_what_it_holds() -> None:
    status = said(RAWS, "ApiDeployment", "v1")
    name = RAWS[2]["metadata"]["name"]
    digest = RAWS[2]["data"]["digest"]
    assert status == {
        "digest": f"sha256:{digest}",
        "revision": name,
        "parts": 1,
        "routes": 1,
        "authorizers": 0,
    }
    assert recorded("ApiDeployment", status) == digest


def test_one_that_holds_nothing_says_so_and_what_it_held_is_not_forgotten() -> None:
    assert said(RAWS, "ApiDeployment", "v2") == {}
    assert said(RAWS, "ApiDeployment", "v2", before="d" * 64) == {"digest": f"sha256:{'d' * 64}"}
    # While it only points at what it restores, it has taken nothing itself.
    restoring = [*shop(), *revision(shop(), "kept"), deployment("v1", "kept")]
    assert said(restoring, "ApiDeployment", "v1") == {}


def test_a_stage_says_what_it_serves() -> None:
    status = said(RAWS, "Stage", "prod")
    assert status["serving"]["deployment"] == "v1"
    assert recorded("Stage", status) == RAWS[2]["metadata"]["name"]
    assert recorded("Stage", said(RAWS, "Stage", "test")) == CURRENT
    assert said(RAWS, "Stage", "lost") == {}


@pytest.mark.parametrize("kind", ["Stage", "ApiDeployment"])
@pytest.mark.parametrize(
    "status", [{}, {"serving": 7}, {"serving": {"revision": 7}}, {"digest": 7}, {"serving": {}}]
)
def test_what_says_nothing(kind: str, status: dict[str, Any]) -> None:
    assert recorded(kind, status) == ""


def test_it_goes_through_an_object_of_the_cluster() -> None:
    from portico_operator.objects import read

    status = said(RAWS, "Stage", "prod")
    raw = {"metadata": {"name": "prod", "namespace": "default", "resourceVersion": "5"}}
    known = read("Stage", {**raw, "spec": {}, "status": status})
    assert known.object.recorded == RAWS[2]["metadata"]["name"]
    assert worlds.FILE  # the worlds of this test are files: there nothing is recorded
    assert read("Route", {**raw, "spec": {}, "status": status}).object.recorded == ""
