"""Runtime: what requests look things up in."""

from __future__ import annotations

import pytest

from portico_dataplane.core.router import RouterBuilder
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, Runtime, StageRuntime
from portico_ir.model import ApiKind, ApiUnit, GatewayUnit, Mock, Stage
from serving import RecordingMeter, route

UNIT = ApiUnit(uid="u", api_id="a", kind=ApiKind.REST, name="n", namespace="ns")


def stage(name: str) -> StageRuntime:
    router = RouterBuilder[RouteRuntime](ApiKind.REST).build()
    return StageRuntime(Stage(name=name), router, RecordingMeter(), None)


def api(*names: str) -> ApiRuntime:
    return ApiRuntime(UNIT, {name: stage(name) for name in names}, None, RecordingMeter())


@pytest.mark.parametrize(
    ("names", "default", "sole"),
    [
        ((), False, False),
        (("$default",), True, True),
        (("$default", "dev"), True, False),
        (("dev",), False, False),
        (("dev", "prod"), False, False),
    ],
)
def test_the_default_stage(names: tuple[str, ...], default: bool, sole: bool) -> None:
    """Alone it needs no prefix to be looked for; a named one alone does."""
    found = api(*names)
    assert (found.default_stage is not None) is default
    assert (found.sole_stage is not None) is sole
    assert set(found.stages) == set(names)


def test_parts_are_small() -> None:
    """10,000 routes live in each worker: no dict for every object."""
    built = RouteRuntime(route(ApiKind.REST, "GET /", Mock()), None, None, "broken", None)
    for part in (built, stage("a"), api(), Runtime("", GatewayUnit(), {}, {}, None)):
        assert not hasattr(part, "__dict__")


def test_a_route_that_calls_nothing_has_no_target() -> None:
    built = RouteRuntime(route(ApiKind.REST, "GET /", Mock()), None, None, "broken", None)
    assert built.target is None
    assert built.broken == "broken"
