"""Whose a host is, and which API a path or header chooses: AWS §8.1, §8.2, §8.4."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.domains import NO_DOMAINS, Choice, Domain, Domains
from portico_dataplane.core.messages import Headers
from portico_ir.domains import DomainUnit, HeaderGlob, Mapping, MutualTls, Rule, TlsPolicy


def domain(*keys: str, **fields: Any) -> Domain:
    mappings = tuple(Mapping(key=key, api=f"api/{key or 'none'}", stage="s") for key in keys)
    return Domain(DomainUnit(object="a/d", mappings=mappings, **fields))


def rule(priority: int = 1, *paths: str, api: str = "r", **fields: Any) -> Rule:
    return Rule(priority=priority, base_paths=paths, api=api, stage="s", **fields)


def chosen(found: Domain, path: str, headers: Headers | None = None) -> tuple[str, str] | None:
    choice = found.choose(path, headers or [])
    return None if choice is None else (choice.api, choice.path)


# --- mappings -------------------------------------------------------------------------------

AWS = domain("", "orders/v1/items", "orders/v2/items", "orders/v2/items/categories")


@pytest.mark.parametrize(
    ("path", "api", "rest"),
    [
        ("/orders/v1/items/123", "api/orders/v1/items", "/123"),
        ("/orders/v2/items/categories/5", "api/orders/v2/items/categories", "/5"),
        ("/customers", "api/none", "/customers"),
        ("/orders/v1/items", "api/orders/v1/items", "/"),
        ("/orders/v1/items/", "api/orders/v1/items", "/"),
        ("/orders/v1/items//x/", "api/orders/v1/items", "//x/"),
        ("/orders/v1", "api/none", "/orders/v1"),
        ("/orders/v1/items2", "api/none", "/orders/v1/items2"),
        ("/Orders/v1/items", "api/none", "/Orders/v1/items"),
        ("//orders/v1/items/1", "api/orders/v1/items", "/1"),
        ("/orders//v1/items", "api/none", "/orders//v1/items"),
        ("/%6Frders/v1/items/%2F", "api/orders/v1/items", "/%2F"),
        ("/orders%2Fv1/items", "api/none", "/orders%2Fv1/items"),
        ("/orders/%ff/items", "api/none", "/orders/%ff/items"),
        ("/", "api/none", "/"),
        ("*", "api/none", "*"),
    ],
)
def test_the_longest_key_wins_segment_by_segment(path: str, api: str, rest: str) -> None:
    assert chosen(AWS, path) == (api, rest)


def test_without_an_empty_key_other_paths_lead_nowhere() -> None:
    only = domain("v1")
    assert chosen(only, "/v2") is None
    assert chosen(only, "/") is None
    assert only.choose("/v1/x", []) == Choice("api/v1", "s", "/x", "v1")


def test_what_is_broken_keeps_its_key() -> None:
    mappings = (
        Mapping(key="", api="all", stage="s"),
        Mapping(key="v1", api="", stage="s", broken="gone"),
    )
    found = Domain(DomainUnit(object="a/d", mappings=mappings))
    choice = found.choose("/v1/x", [])
    assert choice is not None
    assert choice.broken == "gone"


@given(st.text(max_size=30), st.lists(st.sampled_from(["a", "a/b", "b", "a/b/c", ""]), unique=True))
def test_any_path_has_one_answer(path: str, keys: list[str]) -> None:
    found = domain(*keys).choose("/" + path, [])
    assert found is not None or "" not in keys


# --- rules ----------------------------------------------------------------------------------


def test_rules_go_by_priority_and_before_mappings() -> None:
    rules = (rule(1, "a", api="first"), rule(2, "a", "b", api="second"), rule(3, api="last"))
    found = domain("a", routing="rules-then-mappings", rules=rules)
    assert chosen(found, "/a/x") == ("first", "/a/x")
    assert chosen(found, "/b/x") == ("second", "/b/x")
    assert chosen(found, "/c") == ("last", "/c")
    choice = found.choose("/b/x", [])
    assert choice == Choice("second", "s", "/b/x", "b", "2")


def test_a_mode_has_its_own_sources() -> None:
    rules = (rule(1, "a"),)
    assert chosen(domain("a", rules=rules), "/a") == ("api/a", "/")
    both = domain("a", "b", routing="rules-then-mappings", rules=rules)
    assert (chosen(both, "/a"), chosen(both, "/b")) == (("r", "/a"), ("api/b", "/"))
    alone = domain("b", routing="rules", rules=rules)
    assert (chosen(alone, "/a"), chosen(alone, "/b")) == (("r", "/a"), None)


def test_the_matched_base_path_is_taken_off_where_asked() -> None:
    found = domain(routing="rules", rules=(rule(1, "a", "a/b", strip=True),))
    assert chosen(found, "/a/b/c") == ("r", "/c")
    assert chosen(found, "/a/c") == ("r", "/c")
    assert chosen(found, "/a") == ("r", "/")
    assert chosen(found, "/ab") is None


@pytest.mark.parametrize(
    ("glob", "value", "matches"),
    [
        ("v1", b"v1", True),
        ("v1", b"V1", False),
        ("v1", b"v10", False),
        ("v1*", b"v10", True),
        ("*v1", b"xv1", True),
        ("*v1*", b"xv1x", True),
        ("*v1*", b"v1", True),
        ("*", b"", True),
        ("v?", b"v1", False),
        ("v?", b"v?", True),
        ("a*", "aé".encode(), True),
    ],
)
def test_globs(glob: str, value: bytes, matches: bool) -> None:
    groups = ((HeaderGlob(name="x-version", value=glob),),)
    found = domain(routing="rules", rules=(rule(1, headers=groups),))
    headers = [(b"X-Other", b"v1"), (b"X-Version", value)]
    assert (chosen(found, "/", headers) is not None) is matches


def test_of_each_group_one_header_must_match() -> None:
    def glob(name: str) -> HeaderGlob:
        return HeaderGlob(name=name, value="1")

    groups = ((glob("a"), glob("b")), (glob("c"),))
    found = domain(routing="rules", rules=(rule(1, "x", headers=groups),))
    assert chosen(found, "/x", [(b"B", b"1"), (b"C", b"1")])
    assert chosen(found, "/x", [(b"c", b"2"), (b"a", b"1"), (b"c", b"1")])
    assert not chosen(found, "/x", [(b"a", b"1"), (b"b", b"1")])
    assert not chosen(found, "/x", [(b"c", b"1")])
    assert not chosen(found, "/y", [(b"b", b"1"), (b"c", b"1")])
    assert not chosen(found, "/x")


# --- hosts ----------------------------------------------------------------------------------


def named(name: str) -> Domain:
    return Domain(DomainUnit(object=name))


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("shop.example", "exact"),
        ("a.shop.example", "wide"),
        ("b.a.shop.example", "wide"),
        ("x.deep.shop.example", "deep"),
        ("y.x.deep.shop.example", "deep"),
        ("deep.shop.example", "wide"),
        ("own.deep.shop.example", "own"),
        ("example", None),
        ("other.example", None),
        ("notshop.example", None),
        ("", None),
        (".shop.example", "wide"),
    ],
)
def test_a_host_as_written_then_the_longest_wildcard(host: str, owner: str | None) -> None:
    domains = Domains(
        [
            (named("wide"), ["*.shop.example"]),
            (named("exact"), ["shop.example"]),
            (named("deep"), ["*.deep.shop.example"]),
            (named("own"), ["own.deep.shop.example"]),
        ]
    )
    found = domains.find(host)
    assert (found.unit.object if found else None) == owner
    assert [each.unit.object for each in domains.all] == ["wide", "exact", "deep", "own"]
    assert NO_DOMAINS.find(host) is None


def test_strict_is_what_asks_for_a_handshake_of_its_own() -> None:
    assert not domain().strict
    assert not domain(policy=TlsPolicy(minimum="1.3")).strict
    assert domain(policy=TlsPolicy(required=True)).strict
    assert domain(mutual=MutualTls(authorities="PEM")).strict
