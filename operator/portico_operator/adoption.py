"""Adoption [pure]: classes that no operator serves, so that their objects say so. Time comes in.

Asked by the status loop. An operator writes the status of its own classes' objects; of a class
without any operator nobody would, and whoever made it, or an API of it, would read nothing at all.
So every operator adopts a class whose status stays empty, and says `Served=False` on it. Operators
that adopt the same class write the same words. Promises: as soon as an operator serves the class,
which that one's own status of it shows, it is let go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

CONDITION: Final = "Served"
REASON: Final = "NoOperator"
MESSAGE: Final = "no operator serves this class: it has no data plane"
PATIENCE_S: Final = 10.0
"""How long a class may stay without a status; an operator that serves it writes one in a second."""


class Adoption:
    """The classes that one operator has adopted."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        """Classes without a status, and since when."""

    def of(
        self, classes: Mapping[str, Mapping[str, Any]], ours: Collection[str], now: float
    ) -> frozenset[str]:
        """Those of all classes, each with its status, that are adopted now."""
        others = classes.keys() - set(ours)
        orphans = {name for name in others if not _is_told(classes[name])}
        self._seen = {name: self._seen.get(name, now) for name in orphans}
        return frozenset(
            name
            for name, since in self._seen.items()
            if now - since >= PATIENCE_S or is_adopted(classes[name])
        )


def is_adopted(status: Mapping[str, Any]) -> bool:
    """Whether an operator that does not serve the class wrote this status of it."""
    return any(entry.get("type") == CONDITION for entry in _conditions(status))


def _is_told(status: Mapping[str, Any]) -> bool:
    """Whether an operator that serves the class wrote this status of it."""
    has = {entry.get("type") for entry in _conditions(status)}
    return bool(has) and CONDITION not in has


def _conditions(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = status.get("conditions")
    return [e for e in found if isinstance(e, Mapping)] if isinstance(found, list) else []
