"""Pass 3: APIs with their identities and hosts; the eldest claim on a host wins.

Called by `compiler.compile`. Promises: no two APIs that are served share a host, whatever their
classes; an API that is broken keeps its host and fails closed, so that nothing else answers in its
place; one whose class is not there is served by nobody, because no data plane is its own.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any, NamedTuple

from portico_compiler.features.unbuilt import Effect
from portico_compiler.inventory import API_KINDS, Document, Inventory
from portico_compiler.manifests import apis
from portico_compiler.passes.gateway import ClassGround, Ground
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_ir.model import ApiKind

_HOST = re.compile(
    r"(?!.{254})[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*\Z"
)
_REMEMBERED = 4096
"""Names of APIs and Stages that are asked for again in each compile."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_KINDS = {"RestApi": ApiKind.REST, "HttpApi": ApiKind.HTTP, "WebSocketApi": ApiKind.WEBSOCKET}


class ApiPlan(NamedTuple):
    """An API that is served, if only with 500."""

    document: Document
    """Its manifest."""
    kind: ApiKind
    """What it behaves like."""
    unit_id: str
    """Id of its unit."""
    api_id: str
    """Ten characters, as in ARNs."""
    arn: str
    """Its ARN, without a slash at its end."""
    host: str
    """Host of its default endpoint."""
    class_name: str
    """The PorticoClass whose data plane serves it; empty: files without any."""
    spec: apis.RestApiSpec | apis.HttpApiSpec
    """What is wanted; the defaults where nothing could be read."""
    broken: str
    """Not empty: everything answers 500, and why."""
    barred: bool = False
    """It is broken because its class is, so its deployments are broken, too."""
    broken_reason: Reason = Reason.REF_NOT_ACCEPTED
    """The same for the conditions of its routes."""


class Claims(NamedTuple):
    """APIs that are served, and what became of the others."""

    plans: dict[ObjectRef, ApiPlan]
    """By reference."""
    problems: tuple[Problem, ...]
    """Host conflicts, unusable addresses, unknown classes."""


def claim(inventory: Inventory, ground: Ground) -> Claims:
    """Gives every API its identity and host; elders first."""
    documents = [document for kind in API_KINDS for document in inventory.of_kind(kind)]
    documents.sort(key=lambda document: document.age)
    owners: dict[str, ObjectRef] = {}
    plans: dict[ObjectRef, ApiPlan] = {}
    problems: list[Problem] = []
    for document in documents:
        ref = document.ref
        base = ground.of(class_of(document))
        if isinstance(base, str):
            problems.append(Problem(ref, "spec.className", Reason.REF_NOT_FOUND, base))
            continue
        host = host_of(ref, base)
        if not _HOST.match(host):
            message = f"{host!r} is not a host name: a label has at most 63 characters"
            problems.append(Problem(ref, "metadata.name", Reason.INVALID_ADDRESS, message))
            continue
        owner = owners.setdefault(host, ref)
        if owner != ref:
            message = f"the host {host} belongs to {owner}, which is older"
            problems.append(Problem(ref, "metadata.name", Reason.HOST_CONFLICT, message))
            continue
        if ref.kind == "WebSocketApi":
            continue  # Decoded and checked; its host stays taken, and nothing serves it yet.
        broken = base.broken or _why_broken(document)
        unbuilt = not base.broken and document.valid and document.restricted
        api_id = identity(f"{ref.namespace}/{ref.kind}/{ref.name}")
        plans[ref] = ApiPlan(
            document=document,
            kind=_KINDS[ref.kind],
            unit_id=f"api/{ref.namespace}/{ref.kind}/{ref.name}",
            api_id=api_id,
            arn=f"arn:aws:execute-api:{base.unit.region}:{base.unit.account_id}:{api_id}",
            host=host,
            class_name=base.name,
            spec=document.content.spec if document.content else _nothing(ref.kind),
            broken=broken,
            barred=bool(base.broken),
            broken_reason=Reason.NOT_IMPLEMENTED if unbuilt else Reason.REF_NOT_ACCEPTED,
        )
    return Claims(plans, tuple(problems))


def class_of(document: Document) -> str | None:
    """What an object says in spec.className; None: nothing, or nothing that can be read."""
    spec = getattr(document.content, "spec", None)
    return getattr(spec, "class_name", None)


def host_of(ref: ObjectRef, base: ClassGround) -> str:
    """Host of an API's default endpoint."""
    return _host(ref.name, ref.namespace, base.base_domain, base.address_template)


@lru_cache(_REMEMBERED)
def _host(name: str, namespace: str, base_domain: str, template: str) -> str:
    values = {"api": name, "namespace": namespace, "baseDomain": base_domain}
    return re.sub(r"\{(api|namespace|baseDomain)\}", lambda m: values[m[1]], template).lower()


@lru_cache(_REMEMBERED)
def identity(text: str) -> str:
    """Ten characters [a-z0-9] from SHA-256 (design.md §3, Identities)."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    letters = ""
    for _ in range(10):
        number, digit = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[digit]
    return letters


def _nothing(kind: str) -> Any:
    return apis.RestApiSpec() if kind == "RestApi" else apis.HttpApiSpec()


def _why_broken(document: Document) -> str:
    """Why all of an API must fail closed; empty when it need not."""
    if not document.valid:
        return f"{document.ref} is not valid"
    restricting = [f.field for f in document.unbuilt if f.effect is Effect.RESTRICTS]
    if restricting:
        return f"{', '.join(restricting)} is not built yet"
    return ""
