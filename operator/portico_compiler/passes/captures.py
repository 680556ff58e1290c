"""Pass 10: what the leader may take, and what each ApiDeployment that is not taken waits for.

Called by `compiler.compile` when all problems are known, and by `portico deploy` and `digest`.
Pure: that nothing changed for two seconds is asked elsewhere. Promises: nothing is offered whose
members are not Accepted, but where a digest was asked for and matches; what was taken once is
never taken again with another content (design.md §3, Deployments).
"""

from __future__ import annotations

from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.authorizers import compile_authorizers
from portico_compiler.passes.conflicts import Groups
from portico_compiler.passes.deployments import Deployments, Untaken, digest_of
from portico_compiler.passes.routes import standing_problems
from portico_compiler.passes.shards import CompiledApi
from portico_compiler.problems import ConditionType, ObjectRef, Problem, Reason, Severity
from portico_compiler.revisions.content import Captured, capture
from portico_compiler.revisions.packing import (
    ApiOrigin,
    DeploymentOrigin,
    Origin,
    own_name,
    why_too_large,
)
from portico_compiler.world import Settings

_SHOWN = 5


class Ground(NamedTuple):
    """What captures stand on."""

    inventory: Inventory
    """Every document."""
    groups: Groups
    """Routes by API."""
    problems: list[Problem]
    """What is wrong with all of them."""
    settings: Settings
    """Of the compile."""


class Members(NamedTuple):
    """What belongs to an API and is captured with it."""

    routes: tuple[Document, ...]
    """Routes that may take part, those without a readable key among them."""
    authorizers: tuple[Document, ...]
    """Authorizers that may take part."""


class Candidate(NamedTuple):
    """An ApiDeployment that the leader has to take."""

    deployment: ObjectRef
    """The ApiDeployment."""
    api: ObjectRef
    """Its API."""
    revision: str
    """Name that its revision will have."""
    origin: Origin
    """What its revision will say of itself."""
    captured: Captured | None
    """What to take; None: it waits."""
    at_once: bool
    """It need not settle: it is what was asked for."""


class Captures(NamedTuple):
    """Everything that is not taken."""

    candidates: tuple[Candidate, ...]
    """Sorted by ApiDeployment."""
    problems: tuple[Problem, ...]
    """What each waits for."""


def captures(
    deployments: Deployments, ground: Ground, apis: list[CompiledApi], memo: Memo
) -> Captures:
    """What may be taken of the current state of these APIs."""
    served = {api.plan.document.ref: api for api in apis}
    found: list[Candidate] = []
    waiting: list[Problem] = []
    for untaken in deployments.untaken:
        api = served.get(untaken.api.document.ref)
        if api is None:
            # Says whoever speaks for a class that has no operator; one that has, says more.
            message = f"waits for an operator of the class of {untaken.api.document.ref}"
            waiting.append(_waiting(untaken, message))
            continue
        if untaken.restores is not None:
            copied = _copied(untaken, deployments)
            found.append(_candidate(untaken, copied, at_once=True))
            continue
        state, message, at_once = _offered(untaken, api, ground, memo)
        found.append(_candidate(untaken, state, at_once))
        if ground.settings.mode != "cluster":
            message = (
                "nobody takes it from files: write what it holds with "
                f"`portico deploy {untaken.document.ref.name} -f …`"
            )
        waiting.append(_waiting(untaken, message))
    return Captures(tuple(found), tuple(waiting))


def _waiting(untaken: Untaken, message: str) -> Problem:
    """It is on its way, and a Stage that cannot serve without it says so itself."""
    return Problem(untaken.document.ref, "", Reason.CAPTURING, message, Severity.WARNING)


def current(api: CompiledApi, ground: Ground) -> Captured | str:
    """The current state of an API, for who asks from files; or why it cannot be taken."""
    members = _members(api, ground)
    why = _why_not(api, members, ground, matching=False)
    if why:
        return why
    state = capture(api.plan.document, members.authorizers, members.routes)
    return why_too_large(state) or state


def _why_not(api: CompiledApi, members: Members, ground: Ground, *, matching: bool) -> str:
    """Why a state cannot be taken; empty when it can. `matching`: a digest decides."""
    document = api.plan.document
    everybody = (document, *members.routes, *members.authorizers)
    broken = [d.ref for d in everybody if not d.valid or (d.ref.kind == "Route" and d.key is None)]
    if not broken and not matching:
        refused = _unaccepted(api, members, ground)
        broken = [d.ref for d in everybody if d.ref in refused]
    if broken:
        shown = ", ".join(str(ref) for ref in sorted(broken)[:_SHOWN])
        rest = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        return f"not Accepted: {shown}{rest}"
    # AWS §3.15: a deployment with no methods fails.
    return "" if members.routes else f"{document.ref} has no Routes"


def _unaccepted(api: CompiledApi, members: Members, ground: Ground) -> set[ObjectRef]:
    """Members that are not Accepted; what only the variables of some Stage lack is not theirs."""
    doubtful = {route.document.ref: route for route in api.routes if route.uses_stages}
    guards = compile_authorizers(
        members.authorizers, api.variants[0].context, {}, ground.inventory, ground.settings
    )
    refused = {
        problem.object
        for problem in ground.problems
        if problem.object not in doubtful and problem.object not in guards and _refuses(problem)
    }
    standing = [
        *(problem for d in members.authorizers for problem in d.problems),
        *(problem for guard in guards.values() for problem in guard.problems),
        *(problem for route in doubtful.values() for problem in route.document.problems),
    ]
    for route in doubtful.values():
        standing += standing_problems(route, ground.inventory, ground.settings, guards)
    return refused | {problem.object for problem in standing if _refuses(problem)}


def _refuses(problem: Problem) -> bool:
    return problem.severity is Severity.ERROR and problem.reason.condition is ConditionType.ACCEPTED


def _offered(
    untaken: Untaken, api: CompiledApi, ground: Ground, memo: Memo
) -> tuple[Captured | None, str, bool]:
    """The state to take, if there is one; what the ApiDeployment says; whether it is at once."""
    document = untaken.document
    members = _members(api, ground)
    # What it took before and lost may be taken again, and nothing else.
    before = document.object.recorded
    expected = before or digest_of(document.content.spec.expected_digest)
    why = _why_not(api, members, ground, matching=bool(expected))
    if why:
        return None, f"waits: {why}", False
    state = _captured(api.plan.document, members, memo)
    why = why_too_large(state)
    if why:
        return None, f"cannot be taken: {why}", False
    if expected and state.digest != expected:
        message = f"the current state has the digest sha256:{state.digest}"
        if before:
            gone = f"its revision is gone, which held sha256:{before}, and {message}"
            return None, f"{gone}: make another ApiDeployment", False
        return None, f"waits for sha256:{expected}; {message}", False
    return state, "is being taken, once nothing has changed for 2 s", bool(expected)


def _captured(api: Document, members: Members, memo: Memo) -> Captured:
    """The state, from the memo while the members are the same."""
    shelf = memo.shelf("captures")
    everybody = (api, members)
    known: tuple[tuple[Document, Members], Captured] | None = shelf.get(api.ref)
    if known is None or known[0] != everybody:
        known = (everybody, capture(api, members.authorizers, members.routes))
    shelf.keep(api.ref, known)
    return known[1]


def _copied(untaken: Untaken, deployments: Deployments) -> Captured | None:
    source = untaken.restores
    assert source is not None
    data = deployments.revisions.data(source.namespace, source.name)
    taken = deployments.taken[untaken.document.ref].head
    if isinstance(data, str):
        return None  # It was read a moment ago: not a case that occurs.
    return Captured(data, taken.digest, taken.routes, taken.authorizers)


def _candidate(untaken: Untaken, state: Captured | None, at_once: bool) -> Candidate:
    ref, api = untaken.document.ref, untaken.api.document
    uid = untaken.document.object.uid
    elsewhere = ref.namespace if ref.namespace != api.ref.namespace else ""
    origin = Origin(
        ApiOrigin(kind=api.ref.kind, name=api.ref.name, uid=api.object.uid),
        DeploymentOrigin(name=ref.name, namespace=elsewhere, uid=uid),
    )
    name = own_name(ref, uid, api.object.uid)
    return Candidate(ref, api.ref, name, origin, state, at_once)


def _members(api: CompiledApi, ground: Ground) -> Members:
    """What belongs to an API, sorted."""
    state = api.variants[0].state
    routes = (*state.documents, *ground.groups.keyless.get(state.api, ()))
    return Members(
        tuple(sorted(routes, key=lambda d: d.ref)),
        tuple(sorted(state.guards, key=lambda d: d.ref)),
    )
