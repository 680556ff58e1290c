"""`portico usage` on a real API server: from the pod that leads, through a forwarded port.

A kubelet's part is played by `kubelet_ports`; API server, operator and command are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane
from kubelet_ports import KubeletPorts, operator_pod
from manifests import manifest, route
from operators import eventually, running
from portico_cli.main import main
from portico_compiler.passes.extensions import key_id
from portico_compiler.problems import ObjectRef
from portico_ir.leases import Exchange, Use
from portico_ir.periods import day_of
from portico_operator.app import App

ANNOTATION = "portico.dev/quota-extensions"


class Desk:
    """A command line, and an operator that leads."""

    def __init__(self, cluster: ControlPlane, namespace: str, app: App) -> None:
        self.cluster, self.namespace, self.app = cluster, namespace, app
        self.serial = 0
        self.plan = ""

    async def usage(self, *arguments: str, namespace: str = "") -> int:
        where = ["--kubeconfig", str(self.cluster.kubeconfig), "-n", namespace or self.namespace]
        where += ["--operator-namespace", self.namespace]
        return await asyncio.to_thread(main, ["usage", *arguments, *where])

    def use(self, key: str, requests: int) -> None:
        """A pod reports so many requests."""
        self.serial += 1
        known = key_id(ObjectRef("ApiKey", self.namespace, key), None)
        use = Use(self.plan, known, day_of(time.time() * 1000), requests)
        exchange = Exchange(holder="h", serial=self.serial, usage=(use,))
        assert self.app.counting.keeping.settle("portico", "uid", exchange) is not None

    def apply(self, *documents: dict[str, Any]) -> None:
        for document in documents:
            metadata = {**document["metadata"], "namespace": self.namespace}
            self.cluster.api.apply({**document, "metadata": metadata})


@pytest.fixture
async def desk(cluster: ControlPlane, fresh_namespace: str, tmp_path: Path) -> AsyncIterator[Desk]:
    name = "operator-1"
    async with KubeletPorts(tmp_path) as kubelet, contextlib.AsyncExitStack() as stack:
        app = await stack.enter_async_context(
            running(cluster, fresh_namespace, identity=f"{name}_0a1b")
        )
        await asyncio.to_thread(kubelet.register, cluster.api)
        pod = operator_pod(name, app.usage_port, app.settings.lease)
        made = Desk(cluster, fresh_namespace, app)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await asyncio.to_thread(made.apply, account, pod)
        quota = {"limit": 100, "period": "DAY"}
        stages = [{"apiRef": {"name": "shop"}, "stage": "$default"}]
        plan = manifest("UsagePlan", "gold", {"apiStages": stages, "quota": quota})
        keys = [
            manifest(
                "ApiKey",
                key,
                {"secretRef": {"name": key, "key": "value"}, "usagePlanRefs": [{"name": "gold"}]},
            )
            for key in ("acme", "idle")
        ]
        secrets = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": key},
                "stringData": {"value": f"{key:x<30}"},
            }
            for key in ("acme", "idle")
        ]
        shop = route("pets", "GET /pets", integration={"url": "http://backend.example/"})
        await asyncio.to_thread(
            made.apply, manifest("RestApi", "shop"), shop, plan, *keys, *secrets
        )
        await eventually(
            lambda: app.lease.is_leader() and app.counting.keeper.term >= 0, "a leader"
        )
        await eventually(lambda: app.counting.keeper.plans("portico"), "the plan")
        (known,) = app.counting.keeper.plans("portico")
        made.plan = known.id
        kept = app.counting.find(known.id)
        assert kept is not None
        acme = key_id(ObjectRef("ApiKey", fresh_namespace, "acme"), None)

        async def told() -> bool:
            return await app.counting.holds(kept, acme)

        async with asyncio.timeout(60):
            while not await told():
                await asyncio.sleep(0.05)
        yield made


async def test_usage_by_key_and_day(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.use("acme", 7)
    assert await desk.usage("gold", "-o", "json") == 0
    report = json.loads(capsys.readouterr().out)
    acme = key_id(ObjectRef("ApiKey", desk.namespace, "acme"), None)
    assert set(report) == {"usagePlanId", "startDate", "endDate", "items"}
    assert report["usagePlanId"] == desk.plan
    assert report["items"][acme][-1] == [7, 93]
    assert len(report["items"][acme]) == 30
    assert await desk.usage("gold", "--key", "idle") == 0
    (head, row) = capsys.readouterr().out.splitlines()
    assert head.split() == ["KEY", "ID", "DAY", "USED", "REMAINING"]
    assert row.split()[0] == f"{desk.namespace}/idle"
    assert row.split()[3:] == ["0", "100"]


async def test_more_for_a_key(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand and by annotation; both may be said twice."""
    desk.use("acme", 90)
    for _ in range(2):
        assert await desk.usage("gold", "--key", "acme", "--remaining", "500") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[3:] == ["90", "500"]
    today = time.strftime("%Y-%m-%d", time.gmtime())
    lines = {"metadata": {"annotations": {ANNOTATION: f"acme {today} +40\nnobody {today} +1\n"}}}
    await asyncio.to_thread(
        desk.cluster.api.patch, "portico.dev/v1alpha1", "UsagePlan", "gold", lines, desk.namespace
    )
    await eventually(lambda: desk.app.counting.keeper.plans("portico")[0].extensions, "it")
    for _ in range(2):
        assert await desk.usage("gold", "--key", "acme", "-o", "yaml") == 0
        assert "[90, 540]" in capsys.readouterr().out
    found = await asyncio.to_thread(
        desk.cluster.api.get, "portico.dev/v1alpha1", "UsagePlan", "gold", desk.namespace
    )
    await eventually(
        lambda: any(
            "there is no ApiKey" in each.get("message", "")
            for each in desk.cluster.api.get(
                "portico.dev/v1alpha1", "UsagePlan", "gold", desk.namespace
            )["status"]["conditions"]
        ),
        "the line that names nobody",
    )
    assert found["metadata"]["annotations"]


async def test_what_is_not_there(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    ns = desk.namespace
    for arguments, said in (
        (["silver"], f"there is no UsagePlan {ns}/silver"),
        (["gold", "--key", "nobody"], f"there is no ApiKey {ns}/nobody"),
    ):
        assert await desk.usage(*arguments) == 1
        assert capsys.readouterr().err.strip() == said
    desk.apply(
        manifest("ApiKey", "other", {"secretRef": {"name": "acme"}}), manifest("UsagePlan", "shut")
    )
    assert await desk.usage("gold", "--key", "other", "--remaining", "5") == 1
    assert f"ApiKey {ns}/other is not in UsagePlan {ns}/gold" in capsys.readouterr().err
    assert await desk.usage("shut") == 1
    assert "opens no stage" in capsys.readouterr().err


async def test_who_cannot_be_asked(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    api, ns = desk.cluster.api, desk.namespace
    # Who may not look for pods.
    token = api.service_account_token(ns, "default")
    config = desk.cluster.kubeconfig_with(token, "nobody")
    said = ["usage", "gold", "-n", ns, "--kubeconfig", str(config)]
    assert await asyncio.to_thread(main, said) == 1
    error = capsys.readouterr().err
    assert "the API server refuses" in error
    assert error.count("\n") == 1
    # An operator that does not lead.
    lease = api.get("coordination.k8s.io/v1", "Lease", desk.app.settings.lease, ns)
    assert lease["spec"]["holderIdentity"].startswith("operator-1_")
    api.delete("v1", "Pod", "operator-1", ns)
    assert await desk.usage("gold") == 1
    assert "no operator of Portico runs in this namespace" in capsys.readouterr().err
    desk.apply(operator_pod("operator-2", desk.app.usage_port, desk.app.settings.lease))
    assert await desk.usage("gold") == 1
    assert "no operator leads now" in capsys.readouterr().err
    # A port that nobody listens on.
    desk.apply(operator_pod("operator-1", 1, desk.app.settings.lease))
    assert await desk.usage("gold") == 1
    assert f"port 1 of pod {ns}/operator-1" in capsys.readouterr().err
