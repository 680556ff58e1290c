"""The implicit `$default` stage of an API, and how it goes: not before every pod has another."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest, route
from operators import condition, status_of
from portico_fleet import Fleet
from portico_processes import PodProcess, wait_until

HURRY = ("--patience-seconds=0", "--lease-seconds=3")


class Shop:
    """One API with one Route, seen through its status and through its pods."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.api: KubernetesApi = fleet.api
        self.namespace = fleet.namespace
        self.host = f"shop.{fleet.namespace}.localhost"

    def apply(self, *documents: dict[str, Any]) -> None:
        for document in documents:
            metadata = {**document["metadata"], "namespace": self.namespace}
            self.api.apply({**document, "metadata": metadata})

    def stage(self, name: str) -> None:
        self.apply(manifest("Stage", name, {"apiRef": {"name": "shop"}, "stageName": name}))

    def answers(self, pod: PodProcess, path: str) -> int:
        return pod.get(self.host, path)[0]

    def programmed(self, stage: str) -> tuple[str, str]:
        return condition(self.api, "Stage", stage, self.namespace, "Programmed")[:2]

    def addresses(self) -> list[str]:
        found = status_of(self.api, "RestApi", "shop", self.namespace).get("addresses") or []
        return [address.partition(self.host)[2] for address in found]

    def events(self) -> list[dict[str, Any]]:
        """What was said of the API: the API server, too, says things, of Services say."""
        found = self.api.list("events.k8s.io/v1", "Event", self.namespace)
        return [event for event in found if event["regarding"]["kind"] == "RestApi"]


def test_it_stays_until_a_stage_is_programmed_on_every_pod_and_an_event_says_that_it_goes(
    cluster: ControlPlane, fresh_namespace: str, tmp_path: Path
) -> None:
    with Fleet(cluster, fresh_namespace, tmp_path) as fleet:
        shop = Shop(fleet)
        fleet.operator("one", *HURRY).ready()
        quick, slow = fleet.pod("quick"), fleet.pod("slow")
        fleet.ready("quick", "slow")
        fleet.backend("pets")
        target = {"service": {"name": "pets", "port": 80}}
        shop.apply(manifest("RestApi", "shop"), route("r", "GET /pets", integration=target))
        wait_until(lambda: shop.answers(slow, "/pets") == 200, "the implicit stage")
        wait_until(lambda: shop.addresses() == ["/"], "its address")

        # One pod does not answer: the stage serves on the other one, and the old address on both.
        slow.signal(signal.SIGSTOP)
        shop.stage("prod")
        wait_until(lambda: shop.answers(quick, "/prod/pets") == 200, "the stage on one pod")
        wait_until(lambda: shop.programmed("prod")[0] == "False", "a status of the stage")
        assert condition(fleet.api, "Stage", "prod", fresh_namespace, "Accepted")[0] == "True"
        assert shop.answers(quick, "/pets") == shop.answers(slow, "/pets") == 200
        wait_until(lambda: set(shop.addresses()) == {"/", "/prod/"}, "both addresses")
        assert shop.events() == []

        # It answers again: now all of them have the stage, and the address goes, and that is said.
        slow.signal(signal.SIGCONT)
        wait_until(lambda: shop.programmed("prod")[0] == "True", "the stage on every pod")
        for pod in (quick, slow):
            wait_until(lambda p=pod: shop.answers(p, "/pets") == 403, "the address is gone")  # type: ignore[misc]
            assert shop.answers(pod, "/prod/pets") == 200
        wait_until(lambda: shop.addresses() == ["/prod/"], "one address")
        (event,) = shop.events()
        assert f"http://{shop.host}/ is gone" in event["note"]
        assert (event["regarding"]["kind"], event["regarding"]["name"]) == ("RestApi", "shop")
        assert event["reason"] == "DefaultStageEnded"
        said = cluster.kubectl("describe", "restapi", "shop", "-n", fresh_namespace).stdout
        assert f"http://{shop.host}/ is gone" in said

        # What makes the stage less than programmed does not bring the address back: neither a pod
        # that is new, nor an operator that is.
        fleet.enlist("quick", "slow", "new")
        shop.apply(route("r", "GET /cats", integration=target))
        wait_until(lambda: shop.programmed("prod") == ("False", "Unreachable"), "a new pod")
        fleet.operators[0].kill()
        fleet.operator("two", *HURRY).ready()
        again = fleet.pod("new", operators=[fleet.operators[1].address])
        wait_until(lambda: shop.answers(again, "/prod/cats") == 200, "the new pod serves")
        assert shop.answers(again, "/cats") == 403
        assert shop.addresses() == ["/prod/"]
        assert len(shop.events()) == 1

        # Without a Stage there is the implicit one again; the next Stage ends it once more.
        fleet.enlist("new")
        fleet.api.delete(GROUP_VERSION, "Stage", "prod", fresh_namespace)
        wait_until(lambda: shop.answers(again, "/cats") == 200, "the implicit stage is back")
        shop.stage("test")
        wait_until(lambda: shop.answers(again, "/cats") == 403, "and gone again")
        wait_until(lambda: len(shop.events()) == 2, "a second event")


def test_always_keeps_it_and_never_has_none(
    cluster: ControlPlane, fresh_namespace: str, tmp_path: Path
) -> None:
    with Fleet(cluster, fresh_namespace, tmp_path) as fleet:
        shop = Shop(fleet)
        fleet.operator("one", *HURRY).ready()
        pod = fleet.pod("pod")
        fleet.ready("pod")
        fleet.backend("pets")
        target = {"service": {"name": "pets", "port": 80}}
        shop.apply(
            manifest("RestApi", "shop", {"defaultStage": "Always"}),
            route("r", "GET /pets", integration=target),
        )
        shop.stage("prod")
        wait_until(lambda: shop.programmed("prod")[0] == "True", "the stage")
        assert shop.answers(pod, "/pets") == shop.answers(pod, "/prod/pets") == 200
        shop.apply(manifest("RestApi", "shop", {"defaultStage": "Never"}))
        wait_until(lambda: shop.answers(pod, "/pets") == 403, "Never")
        assert shop.answers(pod, "/prod/pets") == 200
        # Whoever changes the field knows what that does.
        assert shop.events() == []
