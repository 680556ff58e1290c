"""The current state of an API in files: which API is meant, and what would be deployed of it.

Called by `deploy` and `digest`, so that both mean the same, and the same as the operator's leader,
who captures with the same code. Promises: nothing is captured while a text cannot be read or a
member of the API is not Accepted; what is missing beside (a Service, a Secret) stops nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from portico_cli.configuration import Configuration, Loader
from portico_cli.files import Files
from portico_cli.render import Printer, count
from portico_compiler import ObjectRef
from portico_compiler.revisions.content import Captured
from portico_compiler.world import Settings


class State(NamedTuple):
    """What would be deployed."""

    api: ObjectRef
    """The API."""
    captured: Captured
    """Its state."""
    configuration: Configuration
    """Everything that the files say."""


def current(paths: Sequence[str], wanted: str | None, printer: Printer) -> State | None:
    """The state of the API that is meant; None: the reason was printed."""
    loader = Loader(paths)
    found = loader.load(Settings(egress_open=True))
    if found.unreadable:
        printer.problems(found.unreadable, loader.files.line_of)
        printer.line("nobody knows what the unreadable text says", "red")
        return None
    meant = _meant(found.apis, wanted)
    if len(meant) != 1:
        printer.line(_ambiguous(meant, found.apis, wanted), "red")
        return None
    (api,) = meant
    captured = found.compiled.deployments.capture(api)
    if isinstance(captured, str):
        printer.problems(found.errors, loader.files.line_of)
        printer.line(f"{api} cannot be deployed: {captured}", "red")
        return None
    return State(api, captured, found)


def _meant(apis: list[ObjectRef], wanted: str | None) -> list[ObjectRef]:
    """APIs that `name`, `kind/name` or `namespace/kind/name` may mean."""
    if wanted is None:
        return apis
    *rest, name = wanted.split("/")
    kind = rest[-1].lower() if rest else ""
    namespace = rest[0] if len(rest) == 2 else ""
    return [
        api
        for api in apis
        if api.name == name
        and kind in ("", api.kind.lower())
        and namespace in ("", api.namespace)
        and len(rest) <= 2
    ]


def _ambiguous(meant: list[ObjectRef], apis: list[ObjectRef], wanted: str | None) -> str:
    choice = ", ".join(sorted(f"{ref.namespace}/{ref.kind}/{ref.name}" for ref in meant or apis))
    if not apis:
        return "there is no API in these files"
    if not meant:
        return f"there is no API {wanted!r} in these files; there is {choice}"
    subject = f"{wanted!r} may mean" if wanted is not None else "there are"
    return f"{subject} {count(len(meant), 'API')}: say which with --api, one of {choice}"


def named_namespace(files: Files, paths: Sequence[str], api: ObjectRef) -> str:
    """The namespace that the API's own document names; empty: `kubectl -n` decides."""
    for document in files.load(paths).documents:
        for raw in _objects(document.raw):
            metadata = raw.get("metadata")
            if raw.get("kind") != api.kind or not isinstance(metadata, dict):
                continue
            namespace = metadata.get("namespace")
            if metadata.get("name") == api.name and namespace == api.namespace:
                return api.namespace
    return ""


def _objects(raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, dict):
        return []
    if raw.get("kind") == "List" and isinstance(raw.get("items"), list):
        return [item for item in raw["items"] if isinstance(item, dict)]
    return [raw]
