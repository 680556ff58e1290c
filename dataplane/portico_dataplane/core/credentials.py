"""Credentials: API keys by digest, and usage plans by the stages they open (AWS §7).

Made by `build.py` from the keys and plans units, beside a Runtime; the gateway puts it into the
`Directory` in the same step in which it swaps the Runtime, so no request sees half of both.
Policies hold the directory: a new key rebuilds no route. Promises: a key is found by the SHA-256
of what the client sent. How long that takes depends on the digest, which tells nothing about how
near a guess was, so nothing of a key can be measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from portico_ir.access import ApiKey, Plan


class Credentials:
    """Every key and plan of one configuration."""

    __slots__ = ("_keys", "_opens", "plans")

    def __init__(self, keys: dict[bytes, ApiKey] | None = None, plans: Iterable[Plan] = ()) -> None:
        self._keys = keys if keys is not None else {}
        self.plans: dict[str, Plan] = {plan.id: plan for plan in plans}
        """By id."""
        self._opens: dict[tuple[str, str], frozenset[str]] = {}
        opens: dict[tuple[str, str], set[str]] = {}
        for plan in self.plans.values():
            for stage in plan.stages:
                opens.setdefault((stage.api, stage.stage), set()).add(plan.id)
        self._opens = {stage: frozenset(ids) for stage, ids in opens.items()}

    def key(self, digest: bytes) -> ApiKey | None:
        """The key of which this is the SHA-256."""
        return self._keys.get(digest)

    def plan(self, key: ApiKey, stage: tuple[str, str]) -> Plan | None:
        """The plan with which a key opens a stage: (uid of the API, name of the stage).

        A key has one plan for a stage (AWS §7.2); should it have more, its first counts.
        """
        opening = self._opens.get(stage)
        if opening is not None:
            for plan in key.plans:
                if plan in opening:
                    return self.plans[plan]
        return None

    def __len__(self) -> int:
        """Number of keys."""
        return len(self._keys)


class Directory:
    """Where policies look up who calls; one for each gateway."""

    __slots__ = ("credentials",)

    def __init__(self) -> None:
        self.credentials: Credentials = NONE
        """Those that serve now."""


NONE: Final = Credentials()
"""Before the first configuration: nobody is known."""
