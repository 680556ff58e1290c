"""Who may claim which hosts: the decision by itself, and with classes, namespaces and ages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import worlds
from manifests import manifest
from portico_compiler import Reason, compile  # noqa: A004
from portico_compiler.manifests.classes import AllowedDomain
from portico_compiler.manifests.shapes import LabelSelector
from portico_compiler.passes.domains import refusal

BASES = ("apis.example.com", "edge.example.com")


def may(host: str, *allowed: dict[str, Any], meant: bool = True) -> bool:
    entries = [msgspec.convert(entry, AllowedDomain) for entry in allowed]
    return not refusal(host, lambda _: meant, entries, BASES)


@pytest.mark.parametrize(
    "host",
    [
        "shop.default.apis.example.com",
        "a.apis.example.com",
        "*.apis.example.com",
        "*.default.apis.example.com",
        "apis.example.com",
        "SHOP.Apis.Example.COM",
        "x.edge.example.com",
    ],
)
def test_nobody_claims_what_is_under_a_base_domain(host: str) -> None:
    """Not even where the class would allow it."""
    assert not may(host)
    assert not may(host, {"domains": [host]})
    assert not may(host, {"domains": ["*.example.com", "*.com"]})


@pytest.mark.parametrize("host", ["example.com", "myapis.example.com", "apis.example.com.evil.org"])
def test_neighbours_of_a_base_domain_are_free(host: str) -> None:
    assert may(host)


@pytest.mark.parametrize(
    ("domain", "host", "expected"),
    [
        ("shop.example", "shop.example", True),
        ("shop.example", "SHOP.example", True),
        ("Shop.Example", "shop.example", True),
        ("shop.example", "www.shop.example", False),
        ("shop.example", "*.shop.example", False),
        ("*.shop.example", "www.shop.example", True),
        ("*.shop.example", "a.b.shop.example", True),
        ("*.shop.example", "*.shop.example", True),
        ("*.shop.example", "*.b.shop.example", True),
        ("*.shop.example", "shop.example", False),
        ("*.shop.example", "*.example", False),
        ("*.shop.example", "myshop.example", False),
        ("*.shop.example", "www.shop.example.evil.org", False),
    ],
)
def test_what_an_allowed_domain_covers(domain: str, host: str, expected: bool) -> None:
    assert may(host, {"domains": [domain]}) is expected


def test_without_entries_everything_is_allowed_and_with_any_only_what_they_say() -> None:
    assert may("shop.example")
    assert not may("shop.example", {"domains": []})
    assert may("shop.example", {"domains": []}, {"domains": ["shop.example"]})


def test_selectors_are_asked_where_an_entry_has_one() -> None:
    selected = {"domains": ["*.shop.example"], "namespaceSelector": {}}
    assert may("a.shop.example", selected, meant=True)
    assert not may("a.shop.example", selected, meant=False)
    open_ = {"domains": ["a.shop.example"]}
    assert may("a.shop.example", selected, open_, meant=False)
    assert not may("b.shop.example", selected, open_, meant=False)


def test_a_refusal_says_what_to_do_about_it() -> None:
    def said(host: str, *allowed: AllowedDomain) -> str:
        return refusal(host, lambda _: False, allowed, BASES)

    assert "is under apis.example.com" in said("a.apis.example.com")
    assert "not among the allowedDomains" in said("a.b", AllowedDomain(domains=("b.c",)))
    other = AllowedDomain(domains=("a.b",), namespace_selector=LabelSelector())
    assert "to other namespaces" in said("a.b", other)


# --- in a World -------------------------------------------------------------------------


def a_class(name: str, **spec: Any) -> dict[str, Any]:
    return manifest("PorticoClass", name, spec)


def domain(name: str, *hosts: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    body = {"domainNames": list(hosts), "certificateRef": {"name": "c"}, **spec}
    return manifest("DomainName", name, body, namespace)


def found(
    *raws: dict[str, Any], namespaces: dict[str, dict[str, str]] | None = None
) -> list[tuple[str, str, Reason]]:
    """What is wrong with the hosts of DomainNames; their certificates are not there."""
    world, problems = worlds.of_raws(list(raws), mode="cluster")
    assert not problems
    result = compile(msgspec.structs.replace(world, namespaces=namespaces))
    return [
        (p.object.name, p.field, p.reason)
        for p in result.report.problems
        if p.object.kind == "DomainName" and p.field != "spec.certificateRef"
    ]


BY_TEAM = a_class(
    "public",
    default=True,
    allowedDomains=[
        {"domains": ["*.shop.example"], "namespaceSelector": {"matchLabels": {"team": "shop"}}},
        {
            "domains": ["*.pets.example"],
            "namespaceSelector": {
                "matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]
            },
        },
    ],
)


def test_labels_of_the_namespace_decide() -> None:
    namespaces = {"shop": {"team": "shop"}, "pets": {}}
    claims = [
        domain("mine", "a.shop.example", namespace="shop"),
        domain("theirs", "b.shop.example", namespace="pets"),
        domain("free", "a.pets.example", namespace="pets"),
    ]
    refused = ("theirs", "spec.domainNames[0]", Reason.HOST_NOT_ALLOWED)
    assert found(BY_TEAM, *claims, namespaces=namespaces) == [refused]


def test_a_namespace_nobody_has_seen_is_chosen_by_nothing() -> None:
    """`DoesNotExist` would hold of a namespace whose labels could not be read."""
    claim = domain("d", "a.pets.example", namespace="unseen")
    assert found(BY_TEAM, claim, namespaces={}) == [
        ("d", "spec.domainNames[0]", Reason.HOST_NOT_ALLOWED)
    ]


def test_files_know_no_namespaces_and_ask_no_selector() -> None:
    assert found(BY_TEAM, domain("d", "a.shop.example")) == []


def test_a_domain_answers_to_its_own_class() -> None:
    raws = [
        a_class("public", default=True, allowedDomains=[{"domains": ["a.example"]}]),
        a_class("edge", allowedDomains=[{"domains": ["b.example"]}]),
        domain("d", "a.example", "b.example"),
        domain("e", "c.example", "b.example", className="edge"),
        domain("f", "a.example", className="gone"),
    ]
    assert found(*raws) == [
        ("d", "spec.domainNames[1]", Reason.HOST_NOT_ALLOWED),
        ("e", "spec.domainNames[0]", Reason.HOST_NOT_ALLOWED),
        ("f", "spec.className", Reason.REF_NOT_FOUND),
    ]


def test_base_domains_of_every_class_are_reserved() -> None:
    raws = [
        a_class("public", default=True, baseDomain="APIS.example"),
        a_class("edge", baseDomain="edge.example"),
        domain("d", "x.apis.example", "x.edge.example", "x.localhost", "x.example"),
    ]
    assert [field for _, field, _ in found(*raws)] == [
        "spec.domainNames[0]",
        "spec.domainNames[1]",
        "spec.domainNames[2]",
    ]


def test_a_wildcard_takes_in_no_base_domain() -> None:
    """Hosts of APIs that are not there would be somebody else's."""
    assert not may("*.example.com")
    assert not may("*.com", {"domains": ["*.com"]})
    assert may("*.shop.example.com")
    assert may("*.example.org")


def test_the_elder_has_a_host_and_a_refused_claim_has_none() -> None:
    raws = [
        a_class("public", default=True, allowedDomains=[{"domains": ["a.example"]}]),
        a_class("edge"),
        domain("refused", "b.example"),
        domain("elder", "b.example", "a.example", className="edge"),
        domain("younger", "A.example", namespace="other"),
        domain("twice", "c.example", "c.example", "*.c.example", className="edge"),
        domain("broken", "d.example", className="edge", routingRules=[{"priority": 0}]),
        domain("after", "d.example", className="edge"),
    ]
    assert [f for f in found(*raws) if f[0] != "broken"] == [
        ("refused", "spec.domainNames[0]", Reason.HOST_NOT_ALLOWED),
        ("younger", "spec.domainNames[0]", Reason.HOST_CONFLICT),
        # One that is not valid keeps its host, and fails closed.
        ("after", "spec.domainNames[0]", Reason.HOST_CONFLICT),
    ]
