"""A Scope to try one feature with: a route of an API in a World given as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import worlds
from portico_compiler.features.scope import ApiContext, Scope
from portico_compiler.inventory import Inventory
from portico_compiler.manifests.shapes import FunctionEndpoint
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept
from portico_compiler.problems import ObjectRef
from portico_compiler.routekeys import RouteKey, parse
from portico_compiler.world import Settings
from portico_ir.model import ApiKind

ROUTE = ObjectRef("Route", "default", "pets")


def scope(
    text: str = "",
    *,
    key: str = "GET /pets/{id}",
    kind: ApiKind = ApiKind.REST,
    variables: Mapping[str, str] | None = None,
    functions: dict[str, FunctionEndpoint] | None = None,
    **settings: Any,
) -> Scope:
    """The scope of Route default/pets in stage prod."""
    world, problems = worlds.world(text)
    assert not problems
    api_kind = "RestApi" if kind is ApiKind.REST else "HttpApi"
    route_key = parse(key, "RestApi" if kind is ApiKind.REST else "HttpApi")
    assert isinstance(route_key, RouteKey)
    api = ApiContext(ObjectRef(api_kind, "default", "shop"), kind, functions or {})
    inventory = Inventory(accept(world.objects, Memo()), managed_slices_only=False)
    return Scope(ROUTE, route_key, api, inventory, Settings(**settings), "prod", variables)
