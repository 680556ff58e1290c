"""Every policy of the contract means something to a route; what does not fails it closed."""

from __future__ import annotations

from typing import get_args

import pytest

from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.keyring import Keyring
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.policies.registry import Outside, Prepared, Scope, prepare
from portico_ir.model import ApiKind, ApiUnit, Broken, HttpSegments, Route, Stage
from portico_ir.policies import (
    Authorize,
    Cors,
    FailClosed,
    PolicySpec,
    RequireKey,
    Signature,
    Throttle,
)

API = ApiUnit(uid="u", api_id="a", kind=ApiKind.HTTP, name="n", namespace="d")


def prepared(*policies: PolicySpec) -> Prepared:
    match = HttpSegments(method="GET", path="/")
    route = Route(key="GET /", match=match, integration=Broken(reason="r"), policies=policies)
    return prepare(
        Scope(API, Stage(name="$default"), route, {}), Outside(Directory(), Keyring(), TokenCache())
    )


def test_no_policy_no_objection() -> None:
    assert prepared() == Prepared((), "")


@pytest.mark.parametrize("reason", ["apiKeyRequired is not built", ""])
def test_fail_closed_always_has_a_reason(reason: str) -> None:
    assert prepared(FailClosed(reason=reason)).broken == (reason or "fails closed")


def test_cors_on_a_route_would_go_unnoticed() -> None:
    """AWS §4.7: it belongs to the API."""
    assert prepared(Cors(allow_origins=("*",))).broken


def test_all_reasons_are_kept() -> None:
    text = prepared(FailClosed(reason="one"), FailClosed(reason="two")).broken
    assert text == "one; two"


def test_every_policy_of_the_contract_is_known() -> None:
    samples: dict[type, PolicySpec] = {
        Authorize: Authorize(authorizer="nobody"),
        Cors: Cors(),
        FailClosed: FailClosed(reason="r"),
        RequireKey: RequireKey(),
        Signature: Signature(),
        Throttle: Throttle(rate=1, burst=1),
    }
    assert set(samples) == set(get_args(PolicySpec))
    for sample in samples.values():
        chain, broken = prepared(sample)
        assert bool(chain) is not bool(broken)
