"""Pass 1: decode every object, once per version, and say what is wrong with it by itself.

Called by `compiler.compile`. Promises: one Document per object, whatever the object holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portico_compiler import routekeys, validation
from portico_compiler.edits import other
from portico_compiler.features import unbuilt
from portico_compiler.inventory import Document
from portico_compiler.manifests import access, routes, stages
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.memo import Memo
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity
from portico_compiler.world import Object


def accept(objects: Sequence[Object], memo: Memo) -> list[Document]:
    """A Document for each object; the same one while the object's version is the same."""
    shelf = memo.shelf("accepted")
    before: tuple[Sequence[Object], list[Document]] | None = shelf.get("all")
    documents = None if before is None else _in_place(objects, *before, memo)
    if documents is None:
        documents = [_document(object_, memo) for object_ in objects]
    shelf.keep("all", (objects, documents))
    return documents


def _in_place(
    objects: Sequence[Object], before: Sequence[Object], known: list[Document], memo: Memo
) -> list[Document] | None:
    """The same for a World in which no object went and those of before stand where they stood:
    nine edits of ten thousand. None for any other."""
    if len(objects) < len(before):
        return None
    edited = other(before, objects)
    if any(before[index].ref != objects[index].ref for index in edited):
        return None
    documents = known.copy()
    for index in edited:
        documents[index] = _document(objects[index], memo)
    documents += [_document(object_, memo) for object_ in objects[len(before) :]]
    memo.shelf("documents").keep_rest()
    return documents


def _document(object_: Object, memo: Memo) -> Document:
    shelf = memo.shelf("documents")
    document: Document | None = shelf.get(object_.ref)
    if document is None or not _same_version(document.object, object_):
        document = decode(object_)
    else:
        document.object = object_
    shelf.keep(object_.ref, document)
    return document


def decode(object_: Object) -> Document:
    """One object, decoded and judged by itself."""
    ref = object_.ref
    reading = validation.read(ref.kind, object_.body)
    problems = [Problem(ref, f.field, f.reason, f.message) for f in reading.faults]
    valid = not problems
    fields = unbuilt.used_by(ref.kind, object_.body) if KINDS[ref.kind].ours else ()
    if valid:
        problems += _not_built(ref, fields)
    document = Document(object_, reading.content, tuple(problems), fields, valid)
    content = reading.content
    if isinstance(content, routes.Route):
        spec = content.spec
        parsed = routekeys.parse(spec.route_key, spec.api_ref.kind)
        document.key = None if isinstance(parsed, str) else parsed
        document.api = referred(ref, spec.api_ref.kind, spec.api_ref.namespace, spec.api_ref.name)
        if valid and spec.api_ref.kind == "WebSocketApi":
            document.problems += (
                _unimplemented(ref, "", "routes of WebSocketApis are not built yet"),
            )
    elif isinstance(content, stages.Stage | stages.ApiDeployment | access.Authorizer):
        api = content.spec.api_ref
        document.api = referred(ref, api.kind, api.namespace, api.name)
    return document


def referred(referrer: ObjectRef, kind: str, namespace: str | None, name: str) -> ObjectRef:
    """What a reference means: its own namespace where it names none."""
    return ObjectRef(kind, namespace or referrer.namespace, name)


def _same_version(known: Object, object_: Object) -> bool:
    return known is object_ or (
        known.resource_version == object_.resource_version and known.uid == object_.uid
    )


def _not_built(ref: ObjectRef, fields: tuple[unbuilt.Unbuilt, ...]) -> Iterator[Problem]:
    if ref.kind in unbuilt.KINDS:
        yield _unimplemented(ref, "", f"{ref.kind} is not built yet")
        return
    for field in fields:
        if field.effect is unbuilt.Effect.RESTRICTS:
            message = "not built yet, so what it restricts answers 500"
            yield _unimplemented(ref, field.field, message)
    ignored = [field.field for field in fields if field.effect is unbuilt.Effect.LISTED]
    if ignored:
        message = f"not built yet, without effect: {', '.join(ignored)}"
        yield Problem(ref, "", Reason.FIELDS_IGNORED, message, Severity.WARNING)


def _unimplemented(ref: ObjectRef, field: str, message: str) -> Problem:
    return Problem(ref, field, Reason.NOT_IMPLEMENTED, message)
