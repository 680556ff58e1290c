"""Several PorticoClasses in one cluster: whose pods get what, and who writes which status.

Operators and pods are processes with real tokens, so that a pod's class is what the API server
says of its account (design.md §5).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest, route
from operators import condition, status_of
from portico_fleet import Fleet
from portico_processes import PodProcess, ask, wait_until

PLANES = ("--data-plane=public=public-dataplane", "--data-plane=edge=edge-dataplane")


@pytest.fixture(scope="module")
def alone(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane of its own: which class is the default holds for a whole cluster."""
    with ControlPlane(control_plane.binaries) as running:
        running.install_crds()
        yield running


@pytest.fixture
def api(alone: ControlPlane) -> Iterator[KubernetesApi]:
    yield alone.api
    for found in alone.api.list(GROUP_VERSION, "PorticoClass"):
        alone.api.delete(GROUP_VERSION, "PorticoClass", found["metadata"]["name"])


@pytest.fixture
def namespace(alone: ControlPlane) -> Iterator[str]:
    alone.api.create_namespace("gateways")
    yield "gateways"
    alone.api.remove_namespace("gateways")


def a_class(api: KubernetesApi, name: str, **spec: Any) -> None:
    api.apply({**manifest("PorticoClass", name, spec), "metadata": {"name": name}})


def said(api: KubernetesApi, kind: str, name: str, type_: str) -> tuple[str, str, str]:
    return condition(api, kind, name, "gateways", type_)


def apply(api: KubernetesApi, *documents: dict[str, Any]) -> None:
    for document in documents:
        api.apply({**document, "metadata": {**document["metadata"], "namespace": "gateways"}})


def configuration(pod: PodProcess) -> dict[str, Any]:
    """What the pod holds, secrets redacted."""
    return dict(json.loads(ask(f"{pod.admin}/config")[1]))


def programmed(api: KubernetesApi, kind: str, name: str) -> bool:
    return said(api, kind, name, "Programmed")[0] == "True"


def test_pods_get_what_is_of_their_class_and_status_counts_them_alone(
    alone: ControlPlane, api: KubernetesApi, namespace: str, tmp_path: Path
) -> None:
    a_class(api, "public", default=True, baseDomain="apis.test")
    a_class(api, "edge", baseDomain="edge.test")
    with Fleet(alone, namespace, tmp_path, "public-dataplane") as public:
        edge = Fleet(alone, namespace, tmp_path, "edge-dataplane")
        try:
            api.delete(GROUP_VERSION, "PorticoClass", "portico")
            public.operator("one", *PLANES).ready()
            pods = {name: public.pod(name) for name in ("public-1", "public-2")}
            pods["edge-1"] = edge.pod("edge-1", operators=[o.address for o in public.operators])
            public.ready("public-1", "public-2")
            edge.ready("edge-1")
            # Services of both classes, so that addresses would show where they do not belong.
            public.backend("pets")
            public.backend("cats")
            apply(
                api,
                manifest("RestApi", "shop"),
                route("pets", "GET /pets", integration=_service("pets")),
                manifest("HttpApi", "inner", {"className": "edge"}),
                route("cats", "GET /cats", "inner", "HttpApi", integration=_service("cats")),
            )
            for kind, name in (("Route", "pets"), ("Route", "cats"), ("HttpApi", "inner")):
                wait_until(lambda k=kind, n=name: programmed(api, k, n), f"{kind} {name}")  # type: ignore[misc]
            assert pods["public-2"].get("shop.gateways.apis.test", "/pets") == (200, "pets /pets")
            assert pods["edge-1"].get("inner.gateways.edge.test", "/cats") == (200, "cats /cats")
            assert pods["edge-1"].get("shop.gateways.apis.test", "/pets")[0] == 403
            assert pods["public-1"].get("inner.gateways.edge.test", "/cats")[0] == 403
            _check_that_nothing_crosses(pods)
            wait_until(lambda: _counts(api, "RestApi", "shop") == (2, 2), "counts of shop")
            assert _counts(api, "HttpApi", "inner") == (1, 1)
            assert status_of(api, "HttpApi", "inner", namespace)["addresses"] == [
                "http://inner.gateways.edge.test/"
            ]

            # A pod of one class that is silent holds up that class and no other.
            edge.enlist("edge-1", "edge-2")
            apply(api, route("cats", "GET /lions", "inner", "HttpApi"), route("pets", "GET /dogs"))
            wait_until(lambda: programmed(api, "Route", "pets"), "Route pets")
            wait_until(
                lambda: said(api, "Route", "cats", "Programmed")[:2] == ("False", "Unreachable"),
                "Route cats",
            )
            assert "edge-2" in said(api, "Route", "cats", "Programmed")[2]
            edge.enlist("edge-1")
            wait_until(lambda: programmed(api, "Route", "cats"), "Route cats")

            # An API moves with all its Routes; its old pods forget it.
            apply(api, manifest("HttpApi", "inner", {"className": "public"}))
            wait_until(
                lambda: pods["public-1"].get("inner.gateways.apis.test", "/lions")[0] != 403,
                "inner on public-1",
            )
            wait_until(
                lambda: pods["edge-1"].get("inner.gateways.edge.test", "/lions")[0] == 403,
                "inner off edge-1",
            )
            assert "cats" not in json.dumps(configuration(pods["edge-1"]))
            wait_until(lambda: _counts(api, "HttpApi", "inner") == (2, 2), "counts of inner")
        finally:
            edge.close()


def _service(name: str) -> dict[str, Any]:
    return {"service": {"name": name, "port": 80}}


def _counts(api: KubernetesApi, kind: str, name: str) -> tuple[int, int]:
    found = status_of(api, kind, name, "gateways").get("dataPlane") or {}
    return found.get("pods", -1), found.get("acknowledged", -1)


def _check_that_nothing_crosses(pods: dict[str, PodProcess]) -> None:
    """Neither units nor addresses, wherever in the configuration they might be."""
    assert "cats" not in json.dumps(configuration(pods["public-1"]))
    held = json.dumps(configuration(pods["edge-1"]))
    assert "cats" in held
    assert "pets" not in held
    assert "shop" not in held


def test_two_releases_write_each_their_own_status(
    alone: ControlPlane, api: KubernetesApi, namespace: str, tmp_path: Path
) -> None:
    """Two operators with a Lease each; without a rule both would write everything for ever."""
    a_class(api, "public", default=True)
    a_class(api, "edge")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        Fleet(alone, namespace, tmp_path / "one") as first,
        Fleet(alone, namespace, tmp_path / "two") as second,
    ):
        api.delete(GROUP_VERSION, "PorticoClass", "portico")
        options = ("--patience-seconds=0",)
        one = first.operator("one", "--data-plane=public=a", "--lease=one", *options)
        two = second.operator("two", "--data-plane=edge=b", "--lease=two", *options)
        for operator in (one, two):
            operator.ready()
        apply(
            api,
            manifest("RestApi", "shop"),
            route("r", "GET /"),
            manifest("HttpApi", "inner", {"className": "edge"}),
            route("s", "GET /", "inner", "HttpApi"),
            manifest("RestApi", "lost", {"className": "gone"}),
        )
        for kind, name in (("Route", "r"), ("Route", "s"), ("RestApi", "lost")):
            wait_until(lambda k=kind, n=name: said(api, k, n, "Programmed")[0], f"{kind} {name}")  # type: ignore[misc]
        settled = _versions(api)
        written = [_written(operator) for operator in (one, two)]
        # Each has its own four; what has no class is said once, in words that both agree on.
        assert written[0] >= 3
        assert written[1] >= 3
        apply(api, route("r", "GET /edited"))
        wait_until(lambda: said(api, "Route", "r", "Programmed")[0], "the edit")
        edited = _versions(api)
        assert {ref for ref, version in edited.items() if settled[ref] != version} == {"Route/r"}
        assert _written(two) == written[1]


def _written(operator: Any) -> float:
    return float(operator.metric("portico_status_writes_total", outcome="written"))


def _versions(api: KubernetesApi) -> dict[str, str]:
    return {
        f"{kind}/{found['metadata']['name']}": found["metadata"]["resourceVersion"]
        for kind in ("PorticoClass", "RestApi", "HttpApi", "Route")
        for found in api.list(GROUP_VERSION, kind)
    }


def test_without_a_class_an_api_says_what_is_missing(
    alone: ControlPlane, api: KubernetesApi, namespace: str, tmp_path: Path
) -> None:
    with Fleet(alone, namespace, tmp_path, "public-dataplane") as fleet:
        api.delete(GROUP_VERSION, "PorticoClass", "portico")
        fleet.operator("one", PLANES[0], "--patience-seconds=0").ready()
        pod = fleet.pod("public-1")
        fleet.ready("public-1")
        fleet.backend("pets")
        apply(
            api,
            manifest("RestApi", "shop"),
            route("r", "GET /", integration=_service("pets")),
            manifest("RestApi", "named", {"className": "public"}),
        )

        def resolved(name: str) -> tuple[str, str, str]:
            return said(api, "RestApi", name, "ResolvedRefs")

        wait_until(lambda: resolved("shop")[0] == "False", "shop without a class")
        assert resolved("shop")[1:] == (
            "RefNotFound",
            "spec.className: there is no default PorticoClass: say spec.className, or make one"
            " the default",
        )
        wait_until(lambda: resolved("named")[0] == "False", "named without its class")
        assert "there is no PorticoClass 'public'" in resolved("named")[2]
        wait_until(
            lambda: said(api, "RestApi", "shop", "Programmed")[:2] == ("False", "NoDataPlane"),
            "nobody serves it",
        )
        assert said(api, "Route", "r", "ResolvedRefs")[1] == "RefNotAccepted"

        # A class that is no default serves what names it; a default takes the rest.
        a_class(api, "public", baseDomain="apis.test")
        wait_until(lambda: programmed(api, "RestApi", "named"), "named has its class")
        assert resolved("shop")[0] == "False"
        assert pod.get("shop.gateways.apis.test", "/")[0] == 403
        a_class(api, "public", default=True, baseDomain="apis.test")
        wait_until(lambda: programmed(api, "Route", "r"), "shop has a class")
        assert pod.get("shop.gateways.apis.test", "/")[0] == 200

        # Of two defaults the elder stays; the other one says why it is none.
        wait_until(lambda: _is_a_second_later(api, "public"), "another second")
        a_class(api, "late", default=True)
        wait_until(lambda: _accepted(api, "late")[1] == "Conflicted", "late is refused")
        assert _accepted(api, "late")[2] == (
            "spec.default: PorticoClass public is older and already the default"
        )
        assert _accepted(api, "public")[0] == "True"
        assert programmed(api, "Route", "r")
        assert pod.get("shop.gateways.apis.test", "/")[0] == 200


def test_a_class_without_an_operator_says_so_until_there_is_one(
    alone: ControlPlane, api: KubernetesApi, namespace: str, tmp_path: Path
) -> None:
    with Fleet(alone, namespace, tmp_path) as fleet:
        fleet.operator("one", "--patience-seconds=0").ready()
        a_class(api, "edge")
        apply(api, manifest("RestApi", "shop", {"className": "edge"}), route("r", "GET /"))

        def served() -> tuple[str, str, str]:
            return condition(api, "PorticoClass", "edge", "", "Served")

        def state() -> tuple[str, str]:
            return said(api, "RestApi", "shop", "Programmed")[:2]

        wait_until(lambda: served()[:2] == ("False", "NoOperator"), "edge is adopted")
        wait_until(lambda: state() == ("False", "NoDataPlane"), "shop has no data plane")
        assert said(api, "Route", "r", "Accepted")[0] == "True"
        # An operator of its own, with a Lease of its own: it takes the class over.
        (tmp_path / "two").mkdir()
        with Fleet(alone, namespace, tmp_path / "two", "edge-dataplane") as second:
            options = ("--lease=two", "--patience-seconds=0")
            second.operator("two", PLANES[1], *options).ready()
            second.pod("edge-1")
            second.ready("edge-1")
            wait_until(lambda: served()[0] == "", "edge is let go")
            wait_until(lambda: state() == ("True", "Programmed"), "shop is programmed")
            settled = _versions(api)
            apply(api, route("r", "GET /edited"))
            wait_until(lambda: programmed(api, "Route", "r"), "the edit")
            edited = _versions(api)
            assert {ref for ref, at in edited.items() if settled[ref] != at} == {"Route/r"}


def _accepted(api: KubernetesApi, name: str) -> tuple[str, str, str]:
    return condition(api, "PorticoClass", name, "", "Accepted")


def _is_a_second_later(api: KubernetesApi, name: str) -> bool:
    """Ages have a resolution of one second; a dry run shows the API server's clock."""
    document = {**manifest("PorticoClass", "clock"), "metadata": {"name": "clock"}}
    now = api.create(document, dry_run=True)["metadata"]["creationTimestamp"]
    before = api.get(GROUP_VERSION, "PorticoClass", name)["metadata"]["creationTimestamp"]
    return bool(now > before)
