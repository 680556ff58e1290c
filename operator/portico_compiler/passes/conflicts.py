"""Pass 5: Routes find their API; of two with one key the elder serves (design.md §3).

Called by `compiler.compile` (grouping) and by the shards pass (conflicts within an API).
Promises: the winner depends on ages and names, never on the order of the World.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import routes
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


def group(
    inventory: Inventory, apis: dict[ObjectRef, ApiPlan], known_apis: frozenset[ObjectRef]
) -> Groups:
    """Routes of each served API. Those whose key cannot be read are nowhere to be placed."""
    groups: dict[ObjectRef, list[Document]] = {api: [] for api in apis}
    keyless: dict[ObjectRef, list[Document]] = {}
    problems: list[Problem] = []
    for document in inventory.of_kind("Route"):
        api = document.api
        if api is None:
            continue
        own = groups.get(api)
        if own is not None and api.namespace == document.ref.namespace:
            if document.key is not None:
                own.append(document)
            else:
                keyless.setdefault(api, []).append(document)
        elif not isinstance(document.content, routes.Route):
            continue
        elif api.kind == "WebSocketApi" and api in known_apis:
            continue  # Its own problem already says that such routes are not built.
        elif attached(document.ref, api, inventory, apis, known_apis, problems):
            placed = groups[api] if document.key is not None else keyless.setdefault(api, [])
            placed.append(document)
    return Groups(groups, keyless, tuple(problems))


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
