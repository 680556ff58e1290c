"""Credentials: API keys by digest, usage plans by the stages they open (AWS §7), signers by id.

Made by `build.py` from the keys and plans units, beside a Runtime; the gateway puts it into the
`Directory` in the same step in which it swaps the Runtime, so no request sees half of both.
Policies hold the directory: a new key rebuilds no route. Promises: a key is found by the SHA-256
of what the client sent. How long that takes depends on the digest, which tells nothing about how
near a guess was, so nothing of a key can be measured. Nor by the memory of keys that were right
before: Python's hash of bytes has a random secret in it (PEP 456), and what is remembered is
compared only when 64 bits of hash agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from portico_dataplane.core.judgement import Policy
from portico_ir.access import ApiKey, Plan, Signer

MOST_REMEMBERED: Final = 4_096
"""Values of keys that are known without hashing them again."""


class KnownSigner:
    """An access key, ready to verify signatures."""

    __slots__ = ("_apis", "_namespace", "arn", "keys", "policy", "user_id")

    def __init__(self, signer: Signer) -> None:
        self.arn = signer.user
        self.user_id = signer.user_id
        self.keys = {date: bytes.fromhex(key.reveal()) for date, key in signer.keys.items()}
        """Date `YYYYMMDD` to the signing key of that day."""
        self.policy = Policy(signer.policy) if signer.policy is not None else None
        """What the user may call."""
        self._namespace = signer.namespace
        self._apis = frozenset(signer.apis)

    def belongs_to(self, namespace: str, api: str) -> bool:
        """Whether the API of that uid counts as the user's own (AWS §3.21, "same account")."""
        return namespace == self._namespace or api in self._apis


class Credentials:
    """Every key and plan of one configuration."""

    __slots__ = ("_keys", "_opens", "_seen", "_signers", "plans")

    def __init__(
        self,
        keys: dict[bytes, ApiKey] | None = None,
        plans: Iterable[Plan] = (),
        signers: Mapping[str, KnownSigner] | None = None,
    ) -> None:
        self._keys = keys if keys is not None else {}
        self._signers = signers if signers is not None else {}
        self.plans: dict[str, Plan] = {plan.id: plan for plan in plans}
        """By id."""
        self._seen: dict[bytes, ApiKey] = {}
        """By value: those of the last requests, never of keys that do not exist."""
        self._opens: dict[tuple[str, str], frozenset[str]] = {}
        opens: dict[tuple[str, str], set[str]] = {}
        for plan in self.plans.values():
            for stage in plan.stages:
                opens.setdefault((stage.api, stage.stage), set()).add(plan.id)
        self._opens = {stage: frozenset(ids) for stage, ids in opens.items()}

    def key_of(self, value: bytes) -> ApiKey | None:
        """The key with this value."""
        found = self._seen.get(value)
        if found is None:
            found = self._keys.get(hashlib.sha256(value).digest())
            if found is not None:
                if len(self._seen) >= MOST_REMEMBERED:
                    self._seen.clear()
                self._seen[value] = found
        return found

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

    def signer(self, access_key: str) -> KnownSigner | None:
        """What verifies the signatures of an access key."""
        return self._signers.get(access_key)

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
