"""States of APIs, and ControllerRevisions that hold them, for tests of deployments."""

from __future__ import annotations

import copy
from typing import Any

import worlds
from manifests import manifest, route
from portico_compiler import Compiled, Memo, ObjectRef, compile  # noqa: A004
from portico_compiler.revisions import packing
from portico_compiler.revisions.content import Captured
from portico_compiler.world import uid_of

Raw = dict[str, Any]
SHOP = ObjectRef("RestApi", "default", "shop")


def shop(*routes: Raw, **spec: Any) -> list[Raw]:
    """The RestApi `shop` with these Routes; one where none is given."""
    return [manifest("RestApi", "shop", spec), *(routes or (route("list", "GET /pets"),))]


def target(number: int) -> dict[str, Any]:
    """Something that tells one state from another."""
    return {"integration": {"url": f"http://v{number}.example/"}}


def compiled(raws: list[Raw], memo: Memo | None = None, **settings: Any) -> Compiled:
    """Documents, compiled; each must be an object."""
    world, problems = worlds.of_raws(copy.deepcopy(raws), **settings)
    assert not problems
    return compile(world, memo)


def captured(raws: list[Raw], api: ObjectRef = SHOP) -> Captured:
    """The state of an API that can be deployed."""
    state = compiled(raws).deployments.capture(api)
    assert isinstance(state, Captured), state
    return state


def revision(
    raws: list[Raw],
    deployment: str,
    *,
    api: ObjectRef = SHOP,
    name: str = "",
    own: bool = False,
    api_uid: str = "",
) -> list[Raw]:
    """ControllerRevisions that hold the state; `own`: as the leader makes them."""
    ref = ObjectRef("ApiDeployment", api.namespace, deployment)
    uids = {"api": "", "deployment": ""}
    if own:
        uids = {"api": api_uid or uid_of(api), "deployment": uid_of(ref)}
        name = name or packing.own_name(ref, uids["deployment"], uids["api"])
    origin = packing.Origin(
        packing.ApiOrigin(kind=api.kind, name=api.name, uid=uids["api"]),
        packing.DeploymentOrigin(name=deployment, uid=uids["deployment"]),
    )
    return packing.pack(captured(raws, api), name or deployment, "", origin, None)


def deployment(name: str, restores: str = "", api: str = "shop", **spec: Any) -> Raw:
    """An ApiDeployment."""
    body: dict[str, Any] = {"apiRef": {"name": api}, **spec}
    if restores:
        body["revisionRef"] = {"name": restores}
    return manifest("ApiDeployment", name, body)


def stage(name: str, deployed: str = "", **spec: Any) -> Raw:
    """A Stage of `shop`."""
    body: dict[str, Any] = {"apiRef": {"name": "shop"}, "stageName": name, **spec}
    if deployed:
        body["deploymentRef"] = {"name": deployed}
    return manifest("Stage", name, body)


def targets(result: Compiled, name: str) -> dict[str, str]:
    """Route key to what a stage calls."""
    return {row.key: row.target for row in result.report.routes if row.stage == name}
