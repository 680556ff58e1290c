"""What is served of the current state of every API, for status.

Made at the end of a compile, asked when a report is read. An API whose Stages all serve
deployments is deployed as long as one of those holds the very state that is current; a Route, as
long as one of them holds it as it is. Promises: where nothing serves what is current, the message
names the Stages and what each of them serves instead (design.md §3, Status).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from portico_compiler.inventory import Document
from portico_compiler.memo import Memo
from portico_compiler.passes.captures import Ground, captures, current
from portico_compiler.passes.deployments import Deployments, Taken
from portico_compiler.passes.shards import CompiledApi
from portico_compiler.problems import ObjectRef
from portico_compiler.revisions import canonical
from portico_compiler.revisions.content import Captured

_SHOWN = 5


class Serving(NamedTuple):
    """What a Stage serves; all empty: the current routes."""

    deployment: str = ""
    """The ApiDeployment that it was taken for."""
    revision: str = ""
    """Name of the revision."""
    digest: str = ""
    """Of its content, in hex."""


class DeploymentReport:
    """Everything about deployments that is for status and for the leader."""

    def __init__(
        self,
        deployments: Deployments,
        apis: list[CompiledApi],
        ground: Ground,
        memo: Memo,
    ) -> None:
        waiting = captures(deployments, ground, apis, memo)
        self.problems = (*deployments.problems, *waiting.problems)
        """Of Stages and ApiDeployments."""
        self.taken: Mapping[ObjectRef, Taken] = deployments.taken
        """What each ApiDeployment holds."""
        self.candidates = waiting.candidates
        """What the leader may take."""
        self.named = frozenset(deployments.named)
        """Namespace and name of every revision that somebody names."""
        self.unnamed = deployments.revisions.places - self.named
        """Revisions that nobody names."""
        self.serving: dict[ObjectRef, Serving] = dict(_servings(apis))
        """What each Stage serves; one that answers 500 to everything is not there."""
        self._unserved = deployments.unserved
        self._pinned = deployments.pinned
        self._apis = apis
        self._ground = ground

    def capture(self, ref: ObjectRef) -> Captured | str:
        """The current state of an API; or why it cannot be taken."""
        for api in self._apis:
            if api.plan.document.ref == ref:
                return current(api, self._ground)
        return f"{ref} is not served"

    def not_deployed(self) -> dict[ObjectRef, str]:
        """APIs, Routes, Authorizers, Stages and ApiDeployments that nothing serves; and why."""
        found = dict(self._unserved)
        for api in self._apis:
            if any(stage.name not in api.closed for stage in api.live_stages):
                continue
            held = [
                self._pinned[api.plan.document.ref, variant.state.label].frozen.members
                for variant in api.variants[1:]
            ]
            found.update(_undeployed(api, held, _message(api)))
        return found


def _undeployed(
    api: CompiledApi, held: list[frozenset[tuple[str, bytes]]], message: str
) -> Iterator[tuple[ObjectRef, str]]:
    state = api.variants[0].state
    ref = state.api
    current: set[tuple[str, bytes]] = set()
    for document in (*state.documents, *state.guards):
        entry = _entry(document, ref.namespace)
        current.add(entry)
        if not any(entry in members for members in held):
            yield document.ref, message
    if state.document.valid:
        current.add((ref.kind, canonical.api(state.document)))
    if not any(current == members for members in held):
        yield ref, message


def _entry(document: Document, home: str) -> tuple[str, bytes]:
    form = canonical.member(document, home) if document.valid else b""
    return document.ref.kind, form


def _message(api: CompiledApi) -> str:
    described = []
    for stage in api.stages:
        name = stage.ref.name if stage.ref is not None else stage.name
        label = stage.pin.label if stage.pin is not None and stage.name not in api.closed else ""
        serves = f"serves ApiDeployment {label}" if label else "answers 500"
        described.append(f"Stage {name} {serves}")
    if not described:
        return "no Stage serves the current routes, and there is no implicit $default"
    rest = len(described) - _SHOWN
    shown = "; ".join(described[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
    return f"no Stage serves the current routes: {shown}"


def _servings(apis: Iterable[CompiledApi]) -> Iterator[tuple[ObjectRef, Serving]]:
    for api in apis:
        for stage in api.stages if not api.broken else ():
            if stage.ref is None or stage.name in api.closed:
                continue
            pin = stage.pin
            serving = Serving(pin.label, pin.revision, pin.digest) if pin else Serving()
            yield stage.ref, serving
