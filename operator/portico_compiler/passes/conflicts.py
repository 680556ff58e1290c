"""Pass 5: Routes find their API; of two with one key the elder serves (design.md §3).

Called by `compiler.compile` (grouping) and by the shards pass (conflicts within an API).
Promises: the winner depends on ages and names, never on the order of the World.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from portico_compiler.edits import edits
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import routes
from portico_compiler.memo import Memo
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.attachment import attached
from portico_compiler.problems import ObjectRef, Problem, Reason


class Groups(NamedTuple):
    """Routes by API."""

    by_api: dict[ObjectRef, list[Document]]
    """Every served API, if only with []."""
    keyless: dict[ObjectRef, list[Document]]
    """Those whose key cannot be read: served nowhere, but part of what there is."""
    problems: tuple[Problem, ...]
    """Routes that may not take part."""


class Contest(NamedTuple):
    """Routes of one API after conflicts."""

    winners: list[Document]
    """One for each key, in no particular order."""
    problems: list[Problem]
    """One for each loser."""


class _Place(NamedTuple):
    """Where a Route belongs."""

    api: ObjectRef | None
    """None: nowhere."""
    keyed: bool
    """Its key can be read."""
    problems: tuple[Problem, ...]
    """Why it may not take part."""


class _Kept(NamedTuple):
    """What the last compile found, and from what."""

    routes: list[Document]
    apis: frozenset[ObjectRef]
    known_apis: frozenset[ObjectRef]
    grants: list[Document]
    groups: Groups


def group(
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
    memo: Memo,
) -> Groups:
    """Routes of each served API. Those whose key cannot be read are nowhere to be placed."""
    shelf = memo.shelf("groups")
    before: _Kept | None = shelf.get("all")
    documents, grants = inventory.of_kind("Route"), inventory.of_kind("ReferenceGrant")
    found = None
    if before and before[1:4] == (frozenset(apis), known_apis, grants):
        found = edits(before.routes, documents)
    if before is None or found is None:
        groups = Groups({api: [] for api in apis}, {}, ())
        groups = _placed(groups, [], documents, inventory, apis, known_apis)
    else:
        left = [old for old, _ in found.replaced]
        groups = _placed(before.groups, left, found.now, inventory, apis, known_apis)
    shelf.keep("all", _Kept(documents, frozenset(apis), known_apis, grants, groups))
    return groups


def _placed(
    before: Groups,
    left: list[Document],
    came: Iterable[Document],
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
) -> Groups:
    """The groups of before, without those that left and with those that came."""
    by_api, keyless = before.by_api.copy(), before.keyless.copy()
    gone = {document.ref for document in left}
    problems = [problem for problem in before.problems if problem.object not in gone]
    own: set[tuple[int, ObjectRef]] = set()
    """Lists that are not those of before any more."""

    def members(groups: dict[ObjectRef, list[Document]], api: ObjectRef) -> list[Document]:
        kept = groups.get(api, [])
        if (id(groups), api) not in own:
            own.add((id(groups), api))
            kept = groups[api] = kept.copy()
        return kept

    for document in left:
        for groups in (by_api, keyless) if document.api else ():
            if document.api in groups and document in groups[document.api]:
                members(groups, document.api).remove(document)
                if groups is keyless and not groups[document.api]:
                    del groups[document.api]
                    own.discard((id(groups), document.api))
    for document in came:
        place = _place(document, inventory, apis, known_apis)
        problems += place.problems
        if place.api is not None:
            members(by_api if place.keyed else keyless, place.api).append(document)
    return Groups(by_api, keyless, tuple(problems))


def _place(
    document: Document,
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
) -> _Place:
    api, keyed = document.api, document.key is not None
    if api is None:
        return _NOWHERE
    if api in apis and api.namespace == document.ref.namespace:
        return _Place(api, keyed, ())
    if not isinstance(document.content, routes.Route):
        return _NOWHERE
    if api.kind == "WebSocketApi" and api in known_apis:
        return _NOWHERE  # Its own problem already says that such routes are not built.
    problems: list[Problem] = []
    if attached(document.ref, api, inventory, apis, known_apis, problems):
        return _Place(api, keyed, ())
    return _Place(None, keyed, tuple(problems))


_NOWHERE = _Place(None, False, ())


def contest(documents: Iterable[Document]) -> Contest:
    """The eldest Route of each key."""
    winners: dict[str, Document] = {}
    losers: list[Document] = []
    for document in documents:
        assert document.key is not None
        slot = document.key.slot
        holder = winners.get(slot)
        if holder is None:
            winners[slot] = document
        elif document.age < holder.age:
            winners[slot] = document
            losers.append(holder)
        else:
            losers.append(document)
    problems = [_lost(loser, winners) for loser in losers]
    return Contest(list(winners.values()), problems)


def _lost(loser: Document, winners: dict[str, Document]) -> Problem:
    assert loser.key is not None
    winner = winners[loser.key.slot]
    assert winner.key is not None
    message = f"{winner.ref} is older and already serves {winner.key.text!r}"
    return Problem(loser.ref, "spec.routeKey", Reason.CONFLICTED, message)
