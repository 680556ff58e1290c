"""The content of a revision: specs of an API, its Routes and Authorizers, as canonical JSON.

`capture` is called with accepted documents (the deployments pass, `portico deploy`), `thaw` with
bytes whose digest was checked. Never in it: Stages, plans, keys, Secrets, endpoints (design.md §3,
Deployments; AWS §3.15). Promises: the same members give the same bytes, in any order, from files or
from a cluster; what thaws stands in the API's namespace and may refer from there only, whoever
wrote the revision, so that nobody borrows another namespace's name by writing one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from portico_compiler.inventory import Document
from portico_compiler.passes.accept import decode
from portico_compiler.problems import ObjectRef
from portico_compiler.revisions import canonical
from portico_compiler.world import Object

FORMAT = 1
"""Of content and packing; a revision of another one is refused, not guessed at."""
MAX_ROUTES = 20_000
"""In one revision: what a few hundred compressed kilobytes may make a compiler work for."""

_NAME = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z", max_length=253)]
_NAMESPACE = Annotated[str, Meta(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?\Z", max_length=63)]


class Captured(NamedTuple):
    """The state of an API."""

    data: bytes
    """Canonical JSON."""
    digest: str
    """Its SHA-256 in hex."""
    routes: int
    """How many Routes there are."""
    authorizers: int
    """How many Authorizers."""


class Frozen(NamedTuple):
    """A state of an API, as documents that can be compiled."""

    api: Document
    """As it was; only its spec counts."""
    authorizers: dict[str, Document]
    """By the name that Routes know them by; in the API's namespace, named `<name>@<label>`."""
    routes: tuple[Document, ...]
    """In the API's namespace, named `<name>@<label>`."""
    members: frozenset[tuple[str, bytes]]
    """Kind and canonical form of each, the API among them, to compare the current ones with."""

    @property
    def documents(self) -> tuple[Document, ...]:
        """All of them."""
        return (self.api, *self.authorizers.values(), *self.routes)


class _Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    name: _NAME
    spec: dict[str, Any]


class _Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: _NAME
    spec: dict[str, Any]
    namespace: _NAMESPACE = ""

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.name


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    api: _Api
    authorizers: tuple[_Member, ...]
    routes: tuple[_Member, ...]


_decoder = msgspec.json.Decoder(_Content)


def capture(api: Document, authorizers: Iterable[Document], routes: Iterable[Document]) -> Captured:
    """The state that these valid documents are."""
    home = api.ref.namespace
    parts: list[list[bytes]] = []
    for documents in (authorizers, routes):
        ordered = sorted(documents, key=lambda document: document.ref)
        parts.append([canonical.member(document, home) for document in ordered])
    data = b'{"api":%s,"authorizers":[%s],"format":%d,"routes":[%s]}' % (
        canonical.api(api),
        b",".join(parts[0]),
        FORMAT,
        b",".join(parts[1]),
    )
    return Captured(data, hashlib.sha256(data).hexdigest(), len(parts[1]), len(parts[0]))


def thaw(data: bytes, api: ObjectRef, label: str) -> Frozen | str:
    """The documents of a state of `api`; or why there are none. `label` tells them from others."""
    try:
        content = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as why:
        return f"its content cannot be read: {why}"
    if content.format != FORMAT:
        return f"its content is of format {content.format}, and only {FORMAT} is known here"
    if (content.api.kind, content.api.name) != (api.kind, api.name):
        return f"it is of {content.api.kind} {content.api.name}, not of {api.kind} {api.name}"
    if len(content.routes) > MAX_ROUTES:
        return f"it holds {len(content.routes)} Routes, more than {MAX_ROUTES}"
    for kind, members in (("Route", content.routes), ("Authorizer", content.authorizers)):
        if len({member.place for member in members}) != len(members):
            return f"it holds a {kind} twice"
    aliases = _aliases(content.authorizers)
    reference = {"name": api.name, "kind": api.kind}
    # State is kept under names (a function's cached answers), so no name is a live object's.
    authorizers = {
        aliases[member.place]: _document(
            ObjectRef("Authorizer", api.namespace, f"{aliases[member.place]}@{label}"),
            member.spec,
            reference,
        )
        for member in content.authorizers
    }
    routes = []
    for member in content.routes:
        name = f"{member.namespace}/{member.name}" if member.namespace else member.name
        spec = _pointed(member.spec, aliases)
        routes.append(
            _document(ObjectRef("Route", api.namespace, f"{name}@{label}"), spec, reference)
        )
    owner = _document(api._replace(name=f"{api.name}@{label}"), content.api.spec, None)
    return Frozen(owner, authorizers, tuple(routes), _forms(content))


def _forms(content: _Content) -> frozenset[tuple[str, bytes]]:
    forms = {(content.api.kind, canonical.encode(content.api))}
    for kind, members in (("Route", content.routes), ("Authorizer", content.authorizers)):
        forms.update((kind, canonical.encode(_entry(member))) for member in members)
    return frozenset(forms)


def _document(ref: ObjectRef, spec: dict[str, Any], api: dict[str, str] | None) -> Document:
    body = {"spec": spec if api is None else {**spec, "apiRef": api}}
    return decode(Object(ref=ref, body=body, resource_version="", uid=""))


def _entry(member: _Member) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": member.name, "spec": member.spec}
    if member.namespace:
        entry["namespace"] = member.namespace
    return entry


def _aliases(members: tuple[_Member, ...]) -> dict[tuple[str, str], str]:
    """Names in the API's namespace: its own members keep theirs, others get one of their own."""
    taken = {member.name for member in members if not member.namespace}
    aliases: dict[tuple[str, str], str] = {}
    for member in members:
        alias = member.name
        if member.namespace:
            alias = f"{member.name}.{member.namespace}"
            while alias in taken:
                alias += ".x"
            taken.add(alias)
        aliases[member.place] = alias
    return aliases


def _pointed(spec: dict[str, Any], aliases: dict[tuple[str, str], str]) -> dict[str, Any]:
    """The spec with its authorizerRef leading to where the Authorizer stands now."""
    reference = spec.get("authorizerRef")
    if not isinstance(reference, dict) or not reference.get("namespace"):
        return spec
    alias = aliases.get((reference["namespace"], str(reference.get("name"))))
    return spec if alias is None else {**spec, "authorizerRef": {"name": alias}}
