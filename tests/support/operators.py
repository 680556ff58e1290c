"""Operators in the test's own process, against a real API server, and what they wrote.

`running` starts one replica as `app` puts it together; the test sees the cluster through the
bed's own client, never through the operator's.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi, Refused
from portico_operator.app import App
from portico_operator.cluster.client import Credentials
from portico_operator.cluster.intake import Pace
from portico_operator.election import Terms
from portico_operator.settings import OperatorSettings

PATIENCE_S = 60.0
"""A bound for a busy machine, not an expectation."""
HURRY = Pace(relist=3600.0, settle=0.5, linger=0.5, reborn_quiet=1.0, reborn_empty=3.0)
TERMS = Terms(4.0, 0.5, 1.0)
T = TypeVar("T")


async def eventually(look: Callable[[], T], what: str = "") -> T:
    """What `look` gives as soon as it is true; it runs in a thread."""
    until = time.monotonic() + PATIENCE_S
    seen: Any = None
    while time.monotonic() < until:
        try:
            seen = await asyncio.to_thread(look)
        except (Refused, OSError) as why:
            seen = why
        else:
            if seen:
                return seen  # type: ignore[no-any-return]
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what or look} did not come true; last seen: {seen!r}")


def credentials(control_plane: ControlPlane, token: str = "") -> Credentials:
    """As `admin`, unless another token is given."""
    return Credentials(
        server=control_plane.url,
        ca_path=str(control_plane.ca_file),
        token=token or control_plane.token,
    )


def prepare(api: KubernetesApi, namespace: str) -> None:
    """What the chart makes: the two objects of the stream's CA, empty, and the default class."""
    for kind, name in (("Secret", "portico-ca"), ("ConfigMap", "portico-ca-bundle")):
        metadata = {"name": name, "namespace": namespace}
        with contextlib.suppress(Refused):
            api.create({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    with contextlib.suppress(Refused):  # where our kinds are not served yet
        api.apply(
            {
                "apiVersion": GROUP_VERSION,
                "kind": "PorticoClass",
                "metadata": {"name": "portico"},
                "spec": {"default": True},
            }
        )


@contextlib.asynccontextmanager
async def running(
    control_plane: ControlPlane,
    namespace: str,
    identity: str = "one",
    pace: Pace = HURRY,
    **changes: Any,
) -> AsyncIterator[App]:
    """One replica, its own objects in `namespace`."""
    prepare(control_plane.api, namespace)
    settings = OperatorSettings(
        namespace=namespace,
        identity=identity,
        terms=TERMS,
        host="127.0.0.1",
        stream_port=0,
        admin_port=0,
        usage_port=0,
    )
    settings = dataclasses.replace(settings, **changes)
    async with App(settings, credentials(control_plane), pace) as app:
        yield app


def status_of(api: KubernetesApi, kind: str, name: str, namespace: str) -> dict[str, Any]:
    """`status`; {} before there is one."""
    found = api.get(GROUP_VERSION, kind, name, namespace)
    return dict(found.get("status") or {})


def condition(
    api: KubernetesApi, kind: str, name: str, namespace: str, type_: str
) -> tuple[str, str, str]:
    """Status, reason and message, of the current generation; ("", "", "") before."""
    found = api.get(GROUP_VERSION, kind, name, namespace)
    status = found.get("status") or {}
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return ("", "", "")
    for entry in status.get("conditions") or ():
        if entry["type"] == type_:
            return entry["status"], entry["reason"], entry.get("message", "")
    return ("", "", "")
