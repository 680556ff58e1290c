"""Which PorticoClass every object belongs to: whose data plane must have it, who writes its status.

Called when a report is asked, by the operator only. Promises: an answer for every object of our
kinds, the same from every operator of a cluster, so that just one of them writes its status; ""
where it belongs to no class that there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portico_compiler.inventory import API_KINDS, Document
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.manifests.shapes import ApiRef
from portico_compiler.passes.accept import referred
from portico_compiler.passes.apis import class_of
from portico_compiler.passes.gateway import Ground
from portico_compiler.problems import ObjectRef

NOBODY: Mapping[ObjectRef, str] = {}
DECIDING = frozenset({*API_KINDS, "PorticoClass"})
"""An edit of these may move other objects to another class."""


def class_names(
    documents: Iterable[Document], ground: Ground, others: Mapping[ObjectRef, str] = NOBODY
) -> dict[ObjectRef, str]:
    """Object to name of its class.

    `others`: those of all other objects, where these are neither APIs nor classes."""
    ours = [document for document in documents if KINDS[document.ref.kind].ours]
    own = {d.ref: _named(class_of(d), ground) for d in ours if d.ref.kind in API_KINDS}
    apis = others or own
    usual = _named(None, ground)
    found: dict[ObjectRef, str] = {}
    for document in ours:
        ref = document.ref
        if ref.kind == "PorticoClass":
            found[ref] = ref.name
        elif ref in own:
            found[ref] = own[ref]
        else:
            # What takes part in no API is the platform's, as long as nothing says otherwise.
            api = document.api or _api_of(document)
            if api is not None:
                found[ref] = apis.get(api, usual)
            else:
                found[ref] = _named(class_of(document), ground)
    return found


def _api_of(document: Document) -> ObjectRef | None:
    spec = getattr(document.content, "spec", None)
    reference = getattr(spec, "api_ref", None)
    if not isinstance(reference, ApiRef):
        return None
    return referred(document.ref, reference.kind, reference.namespace, reference.name)


def _named(class_name: str | None, ground: Ground) -> str:
    base = ground.of(class_name)
    return "" if isinstance(base, str) else base.name
