"""Where a request arrives: AWS §3.2.5, §4.2, §15.29."""

from __future__ import annotations

import pytest

from portico_dataplane.arrival import LOCAL_PATHS, api_of, overridden, stage_of
from portico_dataplane.core.router import RouterBuilder
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, Runtime, StageRuntime
from portico_ir.model import ApiKind, ApiUnit, GatewayUnit, Stage


class _Meter:
    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """Counts nothing."""


def api(kind: ApiKind, *stages: str) -> ApiRuntime:
    def runtime(name: str) -> StageRuntime:
        builder: RouterBuilder[RouteRuntime] = RouterBuilder(kind)
        return StageRuntime(Stage(name=name), builder.build(), _Meter(), None)

    unit = ApiUnit(uid="u", api_id="abc", kind=kind, name="shop", namespace="default")
    return ApiRuntime(unit, {name: runtime(name) for name in stages}, None, _Meter())


REST_ROWS = [
    ("/prod/pets", "prod", "/pets"),
    ("/prod", "prod", "/"),
    ("/prod/", "prod", "/"),
    ("//prod/pets", "prod", "/pets"),
    ("/prod//pets", "prod", "/pets"),
    ("/prod/a//b", "prod", "/a//b"),
    ("/other/pets", None, "/other/pets"),
    ("/Prod/pets", None, "/Prod/pets"),
    ("/", None, "/"),
]


@pytest.mark.parametrize(("path", "stage", "rest"), REST_ROWS)
def test_named_stages_of_a_rest_api(path: str, stage: str | None, rest: str) -> None:
    found, left = stage_of(api(ApiKind.REST, "prod"), path, "")
    assert (found.stage.name if found else None, left) == (stage, rest)


HTTP_ROWS = [
    ("/prod/pets", "prod", "/pets"),
    ("/pets", "$default", "/pets"),
    ("//pets", "$default", "//pets"),
    ("/prod//pets", "prod", "//pets"),
    ("/$default/pets", "$default", "/$default/pets"),
]


@pytest.mark.parametrize(("path", "stage", "rest"), HTTP_ROWS)
def test_default_stage_takes_what_no_name_takes(path: str, stage: str, rest: str) -> None:
    found, left = stage_of(api(ApiKind.HTTP, "$default", "prod"), path, "")
    assert found is not None
    assert (found.stage.name, left) == (stage, rest)


def test_local_paths_name_api_and_stage() -> None:
    shop = api(ApiKind.REST, "$default")
    local = Runtime("d", GatewayUnit(local_paths=True), {"shop.test": shop}, {"abc": shop}, None)
    assert api_of(local, "any", f"{LOCAL_PATHS}abc/$default/pets/1") == (
        shop,
        "/pets/1",
        "$default",
    )
    assert api_of(local, "any", f"{LOCAL_PATHS}nope/x/y")[0] is None
    assert api_of(local, "shop.test", "/pets") == (shop, "/pets", "")
    closed = Runtime("d", GatewayUnit(), {}, {"abc": shop}, None)
    assert api_of(closed, "any", f"{LOCAL_PATHS}abc/$default/pets")[0] is None


def test_the_only_api_takes_unknown_hosts_where_it_may() -> None:
    shop = api(ApiKind.REST, "$default")
    assert api_of(Runtime("d", GatewayUnit(), {}, {}, shop), "any", "/")[0] is shop
    assert api_of(Runtime("d", GatewayUnit(), {}, {}, None), "any", "/")[0] is None


@pytest.mark.parametrize(
    ("override", "kind", "expected"),
    [
        (None, ApiKind.REST, "POST"),
        (b"put", ApiKind.REST, "PUT"),
        (b"PATCH", ApiKind.REST, "PATCH"),
        (b"PATCH", ApiKind.HTTP, "POST"),
        (b"TRACE", ApiKind.REST, "POST"),
        (b"\xff", ApiKind.REST, "POST"),
    ],
)
def test_method_override(override: bytes | None, kind: ApiKind, expected: str) -> None:
    assert overridden("POST", override, kind) == expected
