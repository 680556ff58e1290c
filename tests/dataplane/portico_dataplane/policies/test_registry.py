"""Every policy of the contract means something to a route; what does not fails it closed."""

from __future__ import annotations

from typing import get_args

import pytest

from portico_dataplane.policies.registry import prepare
from portico_ir.policies import Cors, FailClosed, PolicySpec


def test_no_policy_no_objection() -> None:
    assert prepare(()) == ""


@pytest.mark.parametrize("reason", ["apiKeyRequired is not built", ""])
def test_fail_closed_always_has_a_reason(reason: str) -> None:
    assert prepare((FailClosed(reason=reason),)) == (reason or "fails closed")


def test_cors_on_a_route_would_go_unnoticed() -> None:
    """AWS §4.7: it belongs to the API."""
    assert prepare((Cors(allow_origins=("*",)),))


def test_all_reasons_are_kept() -> None:
    specs = (FailClosed(reason="one"), Cors(), FailClosed(reason="two"))
    text = prepare(specs)
    assert text.startswith("one; ")
    assert text.endswith("; two")


def test_every_policy_of_the_contract_is_known() -> None:
    samples: dict[type, PolicySpec] = {Cors: Cors(), FailClosed: FailClosed(reason="r")}
    assert set(samples) == set(get_args(PolicySpec))
    for sample in samples.values():
        assert isinstance(prepare((sample,)), str)
