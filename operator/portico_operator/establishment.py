"""Establishment [pure]: that a Stage was programmed once, kept in its own status.

Composed by `status`, read by `objects`. An API has an implicit `$default` stage until one of its
Stages is programmed on every live pod (design.md §3). Later the same Stage may be pending again, at
a scale-up or an edit, and the address must not come back for that: so the condition stays, for as
long as the Stage is of the same API, and every replica reads it from the API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico_compiler import ObjectRef

CONDITION = "Established"
REASON = "Programmed"


def message(api: ObjectRef) -> str:
    """Of the condition: what tells a Stage's APIs apart, should it be moved."""
    return f"was programmed on every live pod as a stage of {api}"


def is_established(status: Mapping[str, Any], api: ObjectRef | None) -> bool:
    """Whether this status of a Stage says that it was programmed for this API."""
    if api is None:
        return False
    conditions = status.get("conditions")
    return any(
        isinstance(entry, Mapping)
        and entry.get("type") == CONDITION
        and entry.get("status") == "True"
        and entry.get("message") == message(api)
        for entry in (conditions if isinstance(conditions, list) else ())
    )
