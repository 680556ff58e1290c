"""Pass 5: ApiKeys to digests of their values, with the plans they are in (AWS §7.1).

Called by `compiler.compile`; memoised on the ApiKey, its Secret and its plans. Promises: nothing
of a value leaves this module but its SHA-256; what is disabled, broken or in no plan is not there,
so it opens nothing; of two keys with one value the elder counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import access as manifests
from portico_compiler.manifests.kinds import GROUP
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import referred
from portico_compiler.passes.extensions import key_id
from portico_compiler.passes.generation import Generation, WantedSecret
from portico_compiler.passes.secrets import LINE_BREAK, contents, ends_in_line_break, secret_of
from portico_compiler.passes.usage_plans import UsagePlans
from portico_compiler.problems import ObjectRef, Problem, Reason, field_path
from portico_ir.access import ApiKey, Plan

_VALUE = re.compile(r"[!-~]{20,128}\Z")
"""AWS §7.1 has 20 to 128 characters; whatever may stand in a header is taken."""


class KeyEntry(NamedTuple):
    """One value."""

    digest: str
    """SHA-256 (hex)."""
    field: str
    """Where it is named in the ApiKey."""
    key: ApiKey
    """What it is worth."""


class OfDocument(NamedTuple):
    """What one ApiKey yields by itself; compared by identity."""

    document: Document
    secret: Document | None
    plans: tuple[Plan, ...]
    entries: tuple[KeyEntry, ...]
    problems: tuple[Problem, ...]
    wanted: WantedSecret | None = None


class ApiKeys:
    """Every key of the World that opens something."""

    __slots__ = ("keys", "problems", "sources", "wanted")

    def __init__(self, sources: tuple[OfDocument, ...]) -> None:
        self.sources = sources
        """What it was made of, elders first."""
        self.keys: dict[str, ApiKey] = {}
        """By digest."""
        problems = [problem for source in sources for problem in source.problems]
        owners: dict[str, ObjectRef] = {}
        for source in sources:
            for digest, field, key in source.entries:
                owner = owners.setdefault(digest, source.document.ref)
                if digest not in self.keys:
                    self.keys[digest] = key
                else:
                    message = f"the value is that of {owner}, which is older and counts"
                    problems.append(Problem(source.document.ref, field, Reason.CONFLICTED, message))
        self.problems = tuple(problems)
        self.wanted = tuple(s.wanted for s in sources if s.wanted is not None)
        """Secrets that are to be made."""


def api_keys(
    inventory: Inventory, plans: UsagePlans, generation: Generation, memo: Memo
) -> ApiKeys:
    """Every ApiKey; the very object of the last compile while nothing of it has changed."""
    shelf, whole = memo.shelf("apikeys"), memo.shelf("allkeys")
    sources: list[OfDocument] = []
    for document in sorted(inventory.of_kind("ApiKey"), key=lambda document: document.age):
        if not isinstance(document.content, manifests.ApiKey):
            continue
        problems: list[Problem] = []
        own = tuple(_plans(document, inventory, plans, problems))
        wanted, why = generation.wanted(document, own) if document.valid else (None, "")
        reference = document.content.spec.secret_ref
        secret = secret_of(
            document.ref, reference, "spec.secretRef", inventory, problems, missing=why
        )
        if secret is not None:
            wanted = None
        known: OfDocument | None = shelf.get(document.ref)
        if (
            known is None
            or known.document is not document
            or known.secret is not secret
            or known.plans != own
            or known.problems[: len(problems)] != tuple(problems)
            or known.wanted != wanted
        ):
            entries = tuple(_entries(document, secret, own, problems))
            known = OfDocument(document, secret, own, entries, tuple(problems), wanted)
        shelf.keep(document.ref, known)
        sources.append(known)
    before: ApiKeys | None = whole.get("all")
    if before is None or not _same(before.sources, sources):
        before = ApiKeys(tuple(sources))
    whole.keep("all", before)
    return before


def _same(before: tuple[OfDocument, ...], now: list[OfDocument]) -> bool:
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def _plans(
    document: Document, inventory: Inventory, plans: UsagePlans, problems: list[Problem]
) -> Iterator[Plan]:
    """The plans of a key; AWS §7.2: one for each stage, of two the first counts."""
    opened: dict[tuple[str, str], str] = {}
    for position, reference in enumerate(document.content.spec.usage_plan_refs):
        field = field_path("spec", "usagePlanRefs", position)
        ref = referred(document.ref, "UsagePlan", reference.namespace, reference.name)
        if ref not in plans.known:
            message = f"there is no {ref}"
            problems.append(Problem(document.ref, field, Reason.REF_NOT_FOUND, message))
            continue
        if not inventory.permits(document.ref, GROUP, ref):
            message = f"no ReferenceGrant in {ref.namespace} allows a reference to {ref}"
            problems.append(Problem(document.ref, field, Reason.REF_NOT_PERMITTED, message))
            continue
        plan = plans.by_ref.get(ref)
        if plan is None:
            message = f"{ref} opens nothing; its own conditions say why"
            problems.append(Problem(document.ref, field, Reason.REF_NOT_ACCEPTED, message))
            continue
        for stage in plan.stages:
            other = opened.setdefault((stage.api, stage.stage), plan.name)
            if other != plan.name:
                message = (
                    f"stage {stage.stage!r} is opened by UsagePlan {other} already, which counts: "
                    "a key has one plan for a stage"
                )
                problems.append(Problem(document.ref, field, Reason.CONFLICTED, message))
        yield plan


def _entries(
    document: Document, secret: Document | None, plans: tuple[Plan, ...], problems: list[Problem]
) -> Iterator[KeyEntry]:
    spec: manifests.ApiKeySpec = document.content.spec
    if secret is None or not document.valid:
        return
    ref, wanted = document.ref, spec.secret_ref.key
    values = contents(secret)
    if wanted is not None and wanted not in values:
        there = ", ".join(sorted(values)[:10]) or "none"
        message = f"{secret.ref} has no entry {wanted!r}; there is {there}"
        problems.append(Problem(ref, "spec.secretRef.key", Reason.REF_NOT_FOUND, message))
        return
    if wanted is None and not values:
        message = f"{secret.ref} is empty"
        problems.append(Problem(ref, "spec.secretRef", Reason.REF_NOT_FOUND, message))
    ids = tuple(plan.id for plan in plans)
    for entry in sorted(values) if wanted is None else (wanted,):
        field = "spec.secretRef" if wanted is None else "spec.secretRef.key"
        value = values[entry]
        fault = "is not base64" if value is None else _fault(value)
        if fault:
            message = f"entry {entry!r} of {secret.ref} {fault}"
            problems.append(Problem(ref, field, Reason.INVALID_VALUE, message))
        elif spec.enabled and value is not None:
            key = ApiKey(
                id=key_id(ref, entry if wanted is None else None),
                plans=ids,
                customer=spec.customer_id or "",
            )
            yield KeyEntry(hashlib.sha256(value).hexdigest(), field, key)


def _fault(value: bytes) -> str:
    """What is wrong with a value, without a word of it."""
    if ends_in_line_break(value):
        return LINE_BREAK
    if not _VALUE.match(value.decode("latin-1")):
        return "is not 20 to 128 visible ASCII characters"
    return ""
