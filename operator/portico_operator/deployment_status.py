"""Deployment status [pure]: what Stages and ApiDeployments say of deployments, and read again.

Composed by the status loop, read by `objects`. A Stage says which revision it serves: while the one
that it names is not there yet, every replica knows from the API server what to go on with. An
ApiDeployment says which digest it took: should its revision be lost, nothing else is taken in its
place. Promises: what is composed here is read back the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico_compiler import Object
from portico_compiler.passes.deployed import DeploymentReport
from portico_compiler.world import CURRENT

RECORDING = frozenset({"Stage", "ApiDeployment"})
"""Kinds whose status is part of a World, as `Object.recorded`."""
_PREFIX = "sha256:"


def recorded(kind: str, status: Mapping[str, Any]) -> str:
    """`Object.recorded` of what a status says; empty when it says nothing."""
    if kind == "ApiDeployment":
        digest = status.get("digest")
        return digest.removeprefix(_PREFIX) if isinstance(digest, str) else ""
    serving = status.get("serving")
    if not isinstance(serving, Mapping):
        return ""
    revision = serving.get("revision")
    if isinstance(revision, str) and revision:
        return revision
    return CURRENT if serving.get("current") is True else ""


def fields(object_: Object, report: DeploymentReport) -> dict[str, Any]:
    """What the status of a Stage or ApiDeployment says beside conditions."""
    if object_.ref.kind == "ApiDeployment":
        return _taken(object_, report)
    serving = report.serving.get(object_.ref)
    if serving is None:
        return {}
    if not serving.revision:
        return {"serving": {"current": True}}
    return {
        "serving": {
            "deployment": serving.deployment,
            "revision": serving.revision,
            "digest": f"{_PREFIX}{serving.digest}",
        }
    }


def _taken(object_: Object, report: DeploymentReport) -> dict[str, Any]:
    taken = report.taken.get(object_.ref)
    if taken is None or not taken.own:
        # What was taken once stays said, whatever became of the revision.
        return {"digest": f"{_PREFIX}{object_.recorded}"} if object_.recorded else {}
    head = taken.head
    return {
        "digest": f"{_PREFIX}{head.digest}",
        "revision": taken.revision,
        "parts": len(head.parts) + 1,
        "routes": head.routes,
        "authorizers": head.authorizers,
    }
