"""Every object belongs to one class, and every operator says the same one."""

from __future__ import annotations

from typing import Any

import worlds
from manifests import manifest, route, service
from portico_compiler import compile  # noqa: A004


def classes(*raws: dict[str, Any], **settings: Any) -> dict[str, str]:
    """Object to class, in a cluster with a default class `public` and another one `edge`."""
    given = [
        {**manifest("PorticoClass", "public", {"default": True})},
        {**manifest("PorticoClass", "edge")},
        *raws,
    ]
    world, problems = worlds.of_raws(given, **{"mode": "cluster", **settings})
    assert not problems
    return {str(ref): name for ref, name in compile(world).report.classes.items()}


def test_a_class_belongs_to_itself() -> None:
    assert classes() == {"PorticoClass edge": "edge", "PorticoClass public": "public"}


def test_an_api_and_what_is_attached_to_it() -> None:
    stage = {"apiRef": {"name": "shop"}, "stageName": "prod"}
    authorizer = {"apiRef": {"name": "shop"}, "authorizerType": "REQUEST", "url": "http://a.b"}
    found = classes(
        manifest("RestApi", "shop", {"className": "edge"}),
        route("r", "GET /", "shop"),
        manifest("Stage", "prod", stage),
        manifest("Authorizer", "who", authorizer),
        manifest("ApiDeployment", "first", {"apiRef": {"name": "shop"}}),
        manifest("HttpApi", "other"),
        route("s", "GET /", "other", "HttpApi"),
    )
    assert {ref for ref, name in found.items() if name == "edge"} == {
        "PorticoClass edge",
        "RestApi default/shop",
        "Route default/r",
        "Stage default/prod",
        "Authorizer default/who",
        "ApiDeployment default/first",
    }
    assert found["HttpApi default/other"] == found["Route default/s"] == "public"


def test_a_domain_says_its_class() -> None:
    domain = {"domainNames": ["a.example"], "certificateRef": {"name": "c"}}
    found = classes(
        manifest("DomainName", "usual", domain),
        manifest("DomainName", "edge", {**domain, "className": "edge"}),
        manifest("DomainName", "lost", {**domain, "className": "gone"}),
    )
    assert found["DomainName default/usual"] == "public"
    assert found["DomainName default/edge"] == "edge"
    assert found["DomainName default/lost"] == ""


def test_what_takes_part_in_nothing_is_the_default_s() -> None:
    found = classes(route("r", "GET /", "nowhere"), manifest("ApiKey", "key"))
    assert found["Route default/r"] == found["ApiKey default/key"] == "public"


def test_what_has_no_class_belongs_to_none() -> None:
    lost = classes(manifest("RestApi", "shop", {"className": "gone"}), route("r", "GET /", "shop"))
    assert lost["RestApi default/shop"] == lost["Route default/r"] == ""


def test_other_kinds_are_nobody_s() -> None:
    assert "Service default/pets" not in classes(service("pets", 80))


def test_it_does_not_depend_on_what_an_operator_serves() -> None:
    raws = [manifest("RestApi", "shop", {"className": "edge"}), manifest("HttpApi", "other")]
    assert classes(*raws) == classes(*raws, classes=("edge",)) == classes(*raws, classes=("x",))
