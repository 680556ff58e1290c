"""Domains travel as they are, keys included, and say as little as they can."""

from __future__ import annotations

import json

from portico_ir import codec
from portico_ir.domains import (
    Certificate,
    DomainUnit,
    HeaderGlob,
    Mapping,
    MutualTls,
    Rule,
    TlsPolicy,
)
from portico_ir.secrets import Redacted

FULL = DomainUnit(
    object="default/shop",
    hosts=("shop.example", "*.shop.example"),
    certificate=Certificate(chain="PEM", key=Redacted("KEY")),
    policy=TlsPolicy(minimum="1.3", ciphers=("A",), required=True),
    mutual=MutualTls(authorities="PEM"),
    routing="rules-then-mappings",
    mappings=(Mapping(key="v1", api="api/a/RestApi/b", stage="prod", object="a/m"),),
    rules=(
        Rule(
            priority=1,
            headers=((HeaderGlob(name="x", value="v*"),),),
            base_paths=("orders",),
            api="api/a/RestApi/b",
            stage="prod",
            strip=True,
        ),
    ),
    redirect=True,
)


def test_it_comes_back_as_it_went() -> None:
    assert codec.decode_unit(codec.encode(FULL)) == FULL


def test_a_key_shows_itself_to_nobody() -> None:
    assert "KEY" not in repr(FULL)
    assert "KEY" in codec.encode(FULL).decode()


def test_defaults_are_left_out() -> None:
    said = json.loads(codec.encode(DomainUnit(object="a/b", hosts=("a.example",))))
    assert said == {"unit": "domain", "object": "a/b", "hosts": ["a.example"]}
