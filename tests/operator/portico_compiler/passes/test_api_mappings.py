"""ApiMappings: whose key it is, who may map, and what a mapping that leads nowhere does."""

from __future__ import annotations

from typing import Any

import msgspec

import worlds
from manifests import manifest
from portico_compiler import Compiled, Reason, compile  # noqa: A004
from portico_compiler.passes.api_mappings import MOST_MAPPINGS
from portico_ir.domains import DomainUnit

SHOP = manifest("RestApi", "shop")


def domain(**spec: Any) -> dict[str, Any]:
    return manifest("DomainName", "d", {"domainNames": ["a.example"], **spec})


def mapping(name: str, key: str = "", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    where = {"name": "d", "namespace": "default"}
    fixed = {"domainRef": where, "apiRef": {"name": "shop"}, "apiMappingKey": key}
    return manifest("ApiMapping", name, fixed | spec, namespace)


def compiled(
    *raws: dict[str, Any], namespaces: dict[str, dict[str, str]] | None = None, **settings: Any
) -> Compiled:
    world, problems = worlds.of_raws(list(raws), **settings)
    assert not problems
    return compile(msgspec.structs.replace(world, namespaces=namespaces))


def keys(result: Compiled) -> dict[str, str]:
    """Key to the ApiMapping that has it, `!` before those that answer 500."""
    unit = worlds.units(result)["domain/default/d"]
    assert isinstance(unit, DomainUnit)
    return {m.key: ("!" if m.broken else "") + m.object for m in unit.mappings}


def reasons(result: Compiled) -> list[tuple[str, str, Reason]]:
    return [
        (p.object.name, p.field, p.reason)
        for p in result.report.problems
        if p.object.kind == "ApiMapping"
    ]


def test_the_elder_has_a_key_and_letters_count() -> None:
    result = compiled(SHOP, domain(), mapping("a", "v1"), mapping("b", "v1"), mapping("c", "V1"))
    assert keys(result) == {"V1": "default/c", "v1": "default/a"}
    assert reasons(result) == [("b", "spec.apiMappingKey", Reason.CONFLICTED)]


def test_a_domain_has_so_many_mappings_and_no_more() -> None:
    many = [mapping(f"m{n}", f"v{n}") for n in range(MOST_MAPPINGS + 2)]
    result = compiled(SHOP, domain(), *many)
    assert len(keys(result)) == MOST_MAPPINGS
    assert [name for name, _, _ in reasons(result)] == ["m200", "m201"]


def test_labels_of_the_namespace_let_in_where_selectors_choose() -> None:
    allowed = {"namespaces": "Selector", "selector": {"matchLabels": {"team": "a"}}}
    theirs = [manifest("RestApi", "shop", namespace=name) for name in ("one", "two", "three")]
    mappings = [mapping("m", name, name) for name in ("one", "two", "three")]
    raws = (domain(allowedMappings=allowed), *theirs, *mappings)
    result = compiled(*raws, namespaces={"one": {"team": "a"}, "two": {"team": "b"}})
    assert keys(result) == {"one": "one/m"}
    assert [r for _, _, r in reasons(result)] == [Reason.REF_NOT_PERMITTED] * 2


def test_who_is_not_let_in_takes_no_key_from_anybody() -> None:
    raws = (SHOP, domain(), mapping("m", "v1", "evil"), mapping("m", "v1"))
    assert keys(compiled(*raws)) == {"v1": "default/m"}


def test_what_leads_nowhere_keeps_its_key() -> None:
    result = compiled(
        SHOP,
        domain(),
        mapping("all"),
        mapping("gone", "gone", apiRef={"name": "gone"}),
        mapping("stage", "stage", stage="gone"),
    )
    assert keys(result) == {"": "default/all", "gone": "!default/gone", "stage": "!default/stage"}


def test_a_key_that_cannot_be_read_becomes_no_empty_key() -> None:
    result = compiled(SHOP, domain(), mapping("m", "a b"), mapping("n", "/a"))
    assert keys(result) == {}
    assert {r for _, _, r in reasons(result)} == {Reason.INVALID_VALUE}


def test_an_api_of_another_class_is_not_to_be_had() -> None:
    def a_class(name: str, **spec: Any) -> dict[str, Any]:
        return {**manifest("PorticoClass", name, spec), "metadata": {"name": name}}

    raws = (
        a_class("public", default=True),
        a_class("edge"),
        SHOP,
        domain(className="edge"),
        mapping("m", "v1"),
    )
    result = compiled(*raws, mode="cluster")
    assert keys(result) == {"v1": "!default/m"}
    assert reasons(result) == [("m", "spec.apiRef", Reason.REF_NOT_ACCEPTED)]


def test_websocket_apis_have_domains_of_their_own() -> None:
    """AWS §8.1; the elder decides which it is."""
    chat = manifest("WebSocketApi", "chat")
    streaming = mapping("chat", "chat", apiRef={"name": "chat", "kind": "WebSocketApi"})
    result = compiled(SHOP, chat, domain(), streaming, mapping("rest"))
    assert ("rest", "spec.apiRef", Reason.CONFLICTED) in reasons(result)
    result = compiled(SHOP, chat, domain(), mapping("rest"), streaming)
    assert ("chat", "spec.apiRef", Reason.CONFLICTED) in reasons(result)
    assert keys(result) == {"": "default/rest"}
