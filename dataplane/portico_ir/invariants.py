"""What must hold between units, beyond what types can say.

Called by the compiler's tests on every snapshot they make, and by the data plane before it
builds one. Violations are values: a data plane refuses the units they name and keeps the
previous version of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from portico_ir import codec
from portico_ir.domains import Mapping as DomainMapping
from portico_ir.domains import Rule
from portico_ir.integrations import targets_of
from portico_ir.model import (
    MAX_ROUTES_PER_UNIT,
    ApiKind,
    ApiUnit,
    Broken,
    DefaultMatch,
    DomainUnit,
    GatewayUnit,
    HttpProxy,
    HttpSegments,
    KeysUnit,
    LambdaProxy,
    Mock,
    PlansUnit,
    RestSegments,
    Route,
    RoutesUnit,
    SignersUnit,
    StoreUnit,
    Unit,
)
from portico_ir.policies import Authorize


class Violation(NamedTuple):
    """One broken rule."""

    unit: str
    """Id of the unit that must be refused."""
    message: str
    """What is wrong, for the operator's status and logs."""


def check(units: Mapping[str, Unit]) -> list[Violation]:
    """Every violation, in the order of unit ids; empty means the set may be built."""
    found: list[Violation] = []
    hosts: dict[str, str] = {}
    domains: dict[str, str] = {}
    for unit_id in sorted(units):
        unit = units[unit_id]
        if isinstance(unit, ApiUnit):
            found += check_hosts(unit_id, unit, hosts)
            found += check_api(unit_id, unit, units)
        elif isinstance(unit, RoutesUnit):
            api = units.get(unit.api)
            if isinstance(api, ApiUnit):
                found += check_routes(unit_id, unit, api)
            else:
                found.append(Violation(unit_id, f"unit {unit.api} is missing"))
        elif isinstance(unit, DomainUnit):
            found += check_domain(unit_id, unit, domains)
            found += _check_targets(unit_id, unit, units)
        else:
            found += _check_name(unit_id, unit)
    return found


def _check_name(
    unit_id: str, unit: GatewayUnit | KeysUnit | PlansUnit | SignersUnit | StoreUnit
) -> list[Violation]:
    """Units that are found by their ids must have them."""
    match unit:
        case GatewayUnit():
            fits, wanted = unit_id == "gateway", "'gateway'"
        case KeysUnit():
            fits, wanted = unit_id.startswith("keys/"), "'keys/<bucket>'"
        case PlansUnit():
            fits, wanted = unit_id == "plans", "'plans'"
        case SignersUnit():
            fits, wanted = unit_id == "signers", "'signers'"
        case StoreUnit():
            fits, wanted = unit_id == "store", "'store'"
    name = unit.__struct_config__.tag
    return [] if fits else [Violation(unit_id, f"the {name} unit must have the id {wanted}")]


def check_domain(unit_id: str, unit: DomainUnit, owners: dict[str, str]) -> list[Violation]:
    """A domain by itself; hosts of a good one are entered among `owners`, all or none.

    Which APIs there are is not looked at: one that a data plane lacks answers 500 there.
    """
    found: list[Violation] = []
    if not unit_id.startswith("domain/"):
        wanted = "the domain unit must have the id 'domain/<namespace>/<name>'"
        found.append(Violation(unit_id, wanted))
    found += _host_faults(unit_id, unit.hosts, owners)
    keys = [mapping.key for mapping in unit.mappings]
    if len(set(keys)) != len(keys):
        found.append(Violation(unit_id, "two mappings have one key"))
    priorities = [rule.priority for rule in unit.rules]
    if priorities != sorted(set(priorities)):
        found.append(Violation(unit_id, "rules are not in the order of different priorities"))
    if not found:
        owners.update(dict.fromkeys(unit.hosts, unit_id))
    return found


def _check_targets(
    unit_id: str, domain: DomainUnit, units: Mapping[str, Unit]
) -> Iterator[Violation]:
    """What a compiler's whole set of units must hold beyond `check_domain`."""
    targets: tuple[DomainMapping | Rule, ...] = (*domain.mappings, *domain.rules)
    for target in targets:
        api = units.get(target.api)
        if target.broken:
            continue
        if not isinstance(api, ApiUnit):
            yield Violation(unit_id, f"unit {target.api} is missing")
        elif target.stage not in [stage.name for stage in api.stages]:
            yield Violation(unit_id, f"{target.api} has no stage {target.stage!r}")


def check_hosts(unit_id: str, api: ApiUnit, owners: dict[str, str]) -> list[Violation]:
    """The hosts of one API; good ones are entered among `owners`, all or none."""
    found = list(_host_faults(unit_id, api.hosts, owners))
    if not found:
        owners.update(dict.fromkeys(api.hosts, unit_id))
    return found


def _host_faults(
    unit_id: str, hosts: Iterable[str], owners: Mapping[str, str]
) -> Iterator[Violation]:
    for host in hosts:
        owner = owners.get(host, unit_id)
        if owner != unit_id:
            yield Violation(unit_id, f"host {host!r} belongs to {owner}")
        if host != host.lower():
            yield Violation(unit_id, f"host {host!r} is not lower case")


def check_api(unit_id: str, api: ApiUnit, units: Mapping[str, Unit]) -> list[Violation]:
    """An API and the shards its stages name; `units` holds at least those."""
    found: list[Violation] = []
    names = [stage.name for stage in api.stages]
    if len(set(names)) != len(names):
        found.append(Violation(unit_id, "two stages have one name"))
    for stage in api.stages:
        for shard in stage.shards:
            routes = units.get(shard)
            if not isinstance(routes, RoutesUnit):
                found.append(Violation(unit_id, f"stage {stage.name!r} misses unit {shard}"))
            elif routes.api != unit_id:
                found.append(Violation(unit_id, f"{shard} belongs to {routes.api}"))
    return found


def check_routes(
    unit_id: str, unit: RoutesUnit, api: ApiUnit, known: RoutesUnit | None = None
) -> list[Violation]:
    """One shard of `api`, by itself; routes that are as in `known`, which was checked for an API
    of this kind, are not looked at again."""
    found: list[Violation] = []
    if len(unit.routes) > MAX_ROUTES_PER_UNIT:
        found.append(Violation(unit_id, f"{len(unit.routes)} routes in one unit"))
    for key, terms in unit.tls.items():
        # Pools are kept by key: one key for two terms would hand out connections of others.
        if codec.tls_key(terms) != key:
            found.append(Violation(unit_id, f"TLS terms {key!r} are others than their key says"))
    checked: dict[str, Route] = {}
    if (
        known is not None
        and known.authorizers.keys() <= unit.authorizers.keys()
        and known.tls.keys() <= unit.tls.keys()
    ):
        checked = {route.key: route for route in known.routes}
    seen: set[str] = set()
    for route in unit.routes:
        if route.key in seen:
            found.append(Violation(unit_id, f"two routes have the key {route.key!r}"))
        seen.add(route.key)
        if checked.get(route.key) == route:
            continue
        message = (
            _route_fault(route, api.kind)
            or _authorizer_fault(route, unit)
            or _tls_fault(route, unit)
        )
        if message:
            found.append(Violation(unit_id, f"route {route.key!r}: {message}"))
    return found


def _authorizer_fault(route: Route, unit: RoutesUnit) -> str:
    for policy in route.policies:
        if isinstance(policy, Authorize) and policy.authorizer not in unit.authorizers:
            return f"authorizer {policy.authorizer!r} is missing"
    return ""


def _tls_fault(route: Route, unit: RoutesUnit) -> str:
    for target in targets_of(route.integration):
        if target.tls and target.tls not in unit.tls:
            return f"TLS terms {target.tls!r} are missing"
    return ""


def _route_fault(route: Route, kind: ApiKind) -> str:
    match = route.match
    if isinstance(match, RestSegments) and kind is not ApiKind.REST:
        return "a REST match in an API of another kind"
    if isinstance(match, HttpSegments) and kind is not ApiKind.HTTP:
        return "an HTTP match in an API of another kind"
    if isinstance(match, DefaultMatch) and kind is ApiKind.REST:
        return "REST APIs have no $default route"
    if not isinstance(match, DefaultMatch) and not match.path.startswith("/"):
        return f"path {match.path!r} does not start with '/'"
    integration = route.integration
    if isinstance(integration, HttpProxy):
        if not integration.targets:
            return "no target"
        if any(target.weight < 0 for target in integration.targets):
            return "a weight is negative"
    if isinstance(integration, Broken):
        return ""
    if isinstance(integration, HttpProxy | LambdaProxy) and integration.timeout_ms <= 0:
        return "the timeout is not positive"
    if isinstance(integration, Mock) and any(
        not 100 <= response.status <= 599 for response in integration.responses
    ):
        return "a status is out of range"
    return ""
