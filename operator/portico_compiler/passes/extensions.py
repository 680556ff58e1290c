"""Extensions of quotas: what a UsagePlan lets a key do beyond its quota in one period (AWS §7.4).

Called by the pass of usage plans. They stand in an annotation of the plan, not of the key: who may
edit a key must not decide how much it may do. A line says an absolute number for one period, so
that applying it again changes nothing. Promises: a line that cannot be used extends nothing, costs
no other line, and is a Problem that names it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import access as manifests
from portico_compiler.passes.accept import referred
from portico_compiler.passes.apis import identity
from portico_compiler.problems import ObjectRef, Problem, Reason, field_path
from portico_ir.periods import day_from, start_of

ANNOTATION = "portico.dev/quota-extensions"
FIELD = field_path("metadata", "annotations", ANNOTATION)
_NAME = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
_LINE = re.compile(
    rf"(?:(?P<namespace>{_NAME})/)?(?P<name>{_NAME})(?:\[(?P<entry>[-._A-Za-z0-9]+)\])?"
    r"\s+(?P<day>\d{4}-\d{2}-\d{2})\s+(?P<requests>[+-]?\d{1,15})"
)
_FORM = "is not KEY DATE +REQUESTS, such as `acme 2026-11-01 +500`"


class _Line(NamedTuple):
    key: ObjectRef
    entry: str | None
    day: int
    requests: int


def extensions(
    document: Document, inventory: Inventory, problems: list[Problem]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Key id to first days of periods and requests, as `Plan.extensions` has it."""
    text = document.object.annotations.get(ANNOTATION, "")
    if not text.strip():
        return {}
    quota = document.content.spec.quota
    if quota is None:
        message = "there is no spec.quota to be extended"
        problems.append(Problem(document.ref, FIELD, Reason.INVALID_COMBINATION, message))
        return {}
    found: dict[str, dict[int, int]] = {}
    for line, said in _lines(document.ref, text, problems):
        key = _key_id(document.ref, line, said, inventory, problems)
        if key is None:
            continue
        start = start_of(quota.period, quota.offset, line.day)
        days = found.setdefault(key, {})
        if start in days:
            message = f"{said!r} is about a key and a period that an earlier line is about"
            problems.append(Problem(document.ref, FIELD, Reason.CONFLICTED, message))
        else:
            days[start] = line.requests
    return {key: tuple(sorted(days.items())) for key, days in found.items()}


def key_id(key: ObjectRef, entry: str | None) -> str:
    """What usage of a key is counted under; `entry`: of a Secret that holds many."""
    name = "/".join((key.namespace, key.kind, key.name))
    return identity(name if entry is None else f"{name}/{entry}")


def _lines(plan: ObjectRef, text: str, problems: list[Problem]) -> Iterator[tuple[_Line, str]]:
    for said in filter(None, (line.strip() for line in text.splitlines())):
        parsed = _LINE.fullmatch(said)
        day = _day(parsed["day"]) if parsed is not None else None
        if parsed is None or day is None:
            message = f"{said[:200]!r} {_FORM}"
            problems.append(Problem(plan, FIELD, Reason.INVALID_VALUE, message))
            continue
        key = referred(plan, "ApiKey", parsed["namespace"], parsed["name"])
        yield _Line(key, parsed["entry"], day, int(parsed["requests"])), said


def _day(text: str) -> int | None:
    try:
        return day_from(dt.date.fromisoformat(text))
    except ValueError:
        return None


def _key_id(
    plan: ObjectRef, line: _Line, said: str, inventory: Inventory, problems: list[Problem]
) -> str | None:
    reason, fault = _fault(plan, line, inventory)
    if fault:
        problems.append(Problem(plan, FIELD, reason, f"{said!r}: {fault}"))
        return None
    return key_id(line.key, line.entry)


def _fault(plan: ObjectRef, line: _Line, inventory: Inventory) -> tuple[Reason, str]:
    """Why a line extends nothing; empty: it does."""
    key = inventory.api_key(line.key.namespace, line.key.name)
    if key is None or not isinstance(key.content, manifests.ApiKey):
        return Reason.REF_NOT_FOUND, f"there is no {line.key}"
    spec = key.content.spec
    plans = [referred(key.ref, "UsagePlan", r.namespace, r.name) for r in spec.usage_plan_refs]
    if plan not in plans:
        return Reason.REF_NOT_FOUND, f"{line.key} is not in this plan"
    if spec.secret_ref.key is None and line.entry is None:
        name = f"{line.key.name}[entry]"
        return Reason.INVALID_VALUE, f"every entry of its Secret is a key; say which, as {name}"
    if spec.secret_ref.key is not None and line.entry is not None:
        return Reason.INVALID_VALUE, f"it is one key, so say {line.key.name} alone"
    return Reason.INVALID_VALUE, ""
