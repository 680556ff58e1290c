"""The order of processing: AWS §2.1 (REST), §2.2 (HTTP)."""

from __future__ import annotations

from typing import get_args

import pytest

from portico_dataplane.core import phases
from portico_ir.model import ApiKind
from portico_ir.policies import Cors, FailClosed, PolicySpec


@pytest.mark.parametrize("kind", list(ApiKind))
def test_every_phase_has_a_name_of_its_own_and_a_sentence(kind: ApiKind) -> None:
    names = [phase.name for phase in phases.of(kind)]
    assert len(set(names)) == len(names)
    assert all(phase.says.endswith(".") for phase in phases.of(kind))


def test_the_order_of_rest_is_that_of_aws() -> None:
    order = [phase.name for phase in phases.of(ApiKind.REST)]
    said = [
        "tls", "host", "waf", "resource-policy", "route", "authorization", "api-key", "throttle",
        "validation", "cache", "parameter-mapping", "request-template", "integration",
        "integration-response", "response-template", "compression", "response-headers", "observed",
    ]  # fmt: skip
    assert [name for name in order if name in said] == said


def test_the_order_of_http_is_that_of_aws() -> None:
    order = [phase.name for phase in phases.of(ApiKind.HTTP)]
    said = [
        "tls", "host", "cors", "route", "authorization", "throttle", "parameter-mapping",
        "integration", "response-mapping", "response-headers", "observed",
    ]  # fmt: skip
    assert [name for name in order if name in said] == said


@pytest.mark.parametrize("kind", [ApiKind.REST, ApiKind.HTTP])
def test_every_policy_of_the_contract_has_its_phase(kind: ApiKind) -> None:
    tags = {spec.__struct_config__.tag for spec in get_args(PolicySpec)}
    placed = [tag for phase in phases.of(kind) for tag in phase.policies]
    if kind is ApiKind.HTTP:
        tags -= {"require_key"}  # AWS §1.5: HTTP APIs know no API keys
    assert sorted(placed) == sorted(tags)
    # CORS answers preflights before anything else looks (AWS §4.7).
    assert phases.position(kind, Cors()) < phases.position(kind, FailClosed(reason="x"))
    for phase in phases.of(kind):
        assert phase.built or not phase.policies


def test_a_policy_without_a_phase_comes_last() -> None:
    last = len(phases.of(ApiKind.WEBSOCKET))
    assert phases.position(ApiKind.WEBSOCKET, Cors()) == last
