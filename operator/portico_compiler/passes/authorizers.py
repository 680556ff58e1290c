"""Pass 6a: Authorizers find their API and are compiled for its stages; Routes find Authorizers.

Called by `compiler.compile` (grouping), by the shards pass (once for each API that changed) and by
the routes pass. Promises: what is wrong with an Authorizer is one Problem of its own, whether
Routes name it or not; each Route that names it says so too and fails closed; a Route notes all
that its Authorizer was made of, so that an edit of any of it compiles the Route again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

from portico_compiler.features import authorizers
from portico_compiler.features.scope import ApiContext, Scope, Upstream
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import access
from portico_compiler.manifests.kinds import GROUP
from portico_compiler.manifests.routes import RouteSpec
from portico_compiler.passes.accept import referred
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.attachment import attached
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_compiler.routekeys import RouteKey
from portico_compiler.world import Settings
from portico_ir.access import Authorizer
from portico_ir.model import Broken
from portico_ir.policies import Authorize

_NO_KEY = RouteKey("", "", "", (), "")
"""An Authorizer has no path, so nothing fills a `{name}`."""


class Attached(NamedTuple):
    """Authorizers by API."""

    by_api: dict[ObjectRef, list[Document]]
    """Every served API, if only with []; sorted by name."""
    problems: tuple[Problem, ...]
    """Authorizers that may not take part."""


class CompiledAuthorizer:
    """What became of an Authorizer in the stages of its API."""

    __slots__ = ("by_stage", "document", "name", "needs", "problems", "upstreams", "uses_stages")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.name = f"{document.ref.namespace}/{document.ref.name}"
        """Key in `RoutesUnit.authorizers`."""
        self.by_stage: dict[str, Authorizer | Broken] = {}
        """Stage name to what decides there."""
        self.problems: tuple[Problem, ...] = ()
        """What is wrong with it among others."""
        self.needs: dict[Hashable, Hashable] = {}
        """Lookups it depends on."""
        self.upstreams: frozenset[Upstream] = frozenset()
        """Services in use."""
        self.uses_stages = False
        """Depends on stage variables."""


class Authorization(NamedTuple):
    """Who decides about a Route's callers."""

    policy: Authorize | None = None
    """None: nobody does."""
    authorizer: Authorizer | None = None
    """What the policy names."""
    broken: str = ""
    """Why the Route must fail closed."""


NOBODY = Authorization()
Compiled = Mapping[ObjectRef, CompiledAuthorizer]


def attach(
    inventory: Inventory, apis: dict[ObjectRef, ApiPlan], known_apis: frozenset[ObjectRef]
) -> Attached:
    """Authorizers of each served API."""
    by_api: dict[ObjectRef, list[Document]] = {api: [] for api in apis}
    problems: list[Problem] = []
    for document in sorted(inventory.of_kind("Authorizer"), key=lambda d: d.ref):
        api = document.api
        if api is None or (api.kind == "WebSocketApi" and api in known_apis):
            continue  # Of WebSocketApis nothing is served yet; they say so themselves.
        if attached(document.ref, api, inventory, apis, known_apis, problems):
            by_api[api].append(document)
    return Attached(by_api, tuple(problems))


def compile_authorizers(
    documents: Iterable[Document],
    api: ApiContext,
    stages: Mapping[str, Mapping[str, str]],
    inventory: Inventory,
    settings: Settings,
) -> dict[ObjectRef, CompiledAuthorizer]:
    """Authorizers of one API; `stages`: name to stage variables."""
    return {d.ref: _compile(d, api, stages, inventory, settings) for d in documents}


def _compile(
    document: Document,
    api: ApiContext,
    stages: Mapping[str, Mapping[str, str]],
    inventory: Inventory,
    settings: Settings,
) -> CompiledAuthorizer:
    compiled = CompiledAuthorizer(document)
    problems: dict[Problem, None] = {}
    upstreams: set[Upstream] = set()
    made: Authorizer | Broken | None = None
    # Without any stage it is compiled for its problems.
    every: Mapping[str, Mapping[str, str] | None] = stages or {"": None}
    for stage, variables in every.items():
        if made is None or compiled.uses_stages:
            scope = Scope(document.ref, _NO_KEY, api, inventory, settings, stage, variables)
            made = _authorizer(document, compiled.name, scope)
            compiled.needs.update(scope.needs)
            upstreams |= scope.upstreams
            problems.update(dict.fromkeys(scope.problems))
            compiled.uses_stages = compiled.uses_stages or scope.uses_variables
        compiled.by_stage[stage] = made
    compiled.upstreams = frozenset(upstreams)
    compiled.problems = tuple(problems)
    return compiled


def _authorizer(document: Document, name: str, scope: Scope) -> Authorizer | Broken:
    if not document.valid or not isinstance(document.content, access.Authorizer):
        return Broken(reason=f"{document.ref} is not valid")
    unbuilt = ", ".join(f.field for f in document.unbuilt if f.effect == "restricts")
    if unbuilt:
        return Broken(reason=f"{document.ref}: {unbuilt} is not built yet")
    return authorizers.authorizer(name, document.content.spec, scope)


def authorization(spec: RouteSpec, scope: Scope, compiled: Compiled) -> Authorization:
    """What a Route's `authorizerRef` means; its faults are Problems of the Route."""
    if spec.authorizer_ref is None:
        return NOBODY
    wanted = spec.authorizer_ref
    ref = referred(scope.route, "Authorizer", wanted.namespace, wanted.name)
    field = "spec.authorizerRef"
    if not scope.permits(scope.route, ref, GROUP):
        message = f"no ReferenceGrant in {ref.namespace} allows a reference to {ref}"
        return _refused(f"{field}.namespace", Reason.REF_NOT_PERMITTED, message, scope)
    document = scope.authorizer(ref.namespace, ref.name)
    if document is None:
        return _refused(field, Reason.REF_NOT_FOUND, f"there is no {ref}", scope)
    found = compiled.get(ref)
    if found is None:
        owner = document.api or "no API that can be read"
        message = f"{ref} belongs to {owner}, not to {scope.api.ref}"
        if document.api == scope.api.ref:
            message = f"{ref} may not take part in {owner}: its own conditions say why"
        return _refused(field, Reason.REF_NOT_ACCEPTED, message, scope)
    scope.needs.update(found.needs)
    scope.upstreams |= found.upstreams
    scope.uses_variables = scope.uses_variables or found.uses_stages
    made = found.by_stage[scope.stage]
    if isinstance(made, Broken):
        message = f"{ref} is broken, so the route answers 500: {made.reason}"
        return _refused(field, Reason.REF_NOT_ACCEPTED, message, scope)
    type_ = document.content.spec.authorizer_type
    if authorizers.GOES_WITH[type_] != spec.authorization_type:
        message = (
            f"{ref} is of type {type_}: it goes with authorizationType "
            f"{authorizers.GOES_WITH[type_]}, not {spec.authorization_type}"
        )
        return _refused("spec.authorizationType", Reason.INVALID_COMBINATION, message, scope)
    policy = Authorize(authorizer=found.name, scopes=spec.authorization_scopes)
    return Authorization(policy, made)


def _refused(field: str, reason: Reason, message: str, scope: Scope) -> Authorization:
    return Authorization(broken=scope.broken(field, reason, message).reason)
