"""Passes 5 to 9 for credentials: plans, keys, signers and the store of counts, and their units.

Made by `compiler.compile` once the stages are known, asked for the units of each data plane.
Promises: what one of them says is wrong is in `problems`, whichever data plane it concerns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from portico_compiler.inventory import Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.access_units import access_units
from portico_compiler.passes.api_keys import api_keys
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.gateway import ClassGround, Ground
from portico_compiler.passes.generation import Generation, WantedSecret
from portico_compiler.passes.shards import Encoded
from portico_compiler.passes.signers import signer_units, users_of
from portico_compiler.passes.stages import StagePlan
from portico_compiler.passes.store import store_unit, stores
from portico_compiler.passes.usage_plans import usage_plans
from portico_compiler.problems import ObjectRef, Problem
from portico_compiler.world import Settings


class Credentials:
    """Everything that says who may call and how much, of one compile."""

    def __init__(
        self,
        inventory: Inventory,
        apis: dict[ObjectRef, ApiPlan],
        known_apis: frozenset[ObjectRef],
        stages: Mapping[ObjectRef, tuple[StagePlan, ...]],
        base: Ground,
        settings: Settings,
        memo: Memo,
    ) -> None:
        self._inventory = inventory
        self._today = settings.today
        self._memo = memo
        self._plans = usage_plans(inventory, apis, known_apis, stages)
        generation = Generation(apis, base, settings)
        self._keys = api_keys(inventory, self._plans, generation, memo)
        self._users = users_of(inventory)
        self._stores = stores(inventory, secrets=bool(settings.today))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with any of it."""
        return (
            *self._plans.problems,
            *self._keys.problems,
            *self._users.problems,
            *self._stores.problems,
        )

    @property
    def wanted(self) -> tuple[WantedSecret, ...]:
        """Secrets that are to be made, elder ApiKeys first."""
        return self._keys.wanted

    def units(
        self, data_plane: str, served: Collection[ApiPlan], ground: ClassGround
    ) -> dict[str, Encoded]:
        """Unit id to unit, for the data plane that serves these APIs."""
        memo = self._memo
        uids = {plan.document.object.uid for plan in served}
        access = access_units(self._plans, self._keys, uids, data_plane, memo)
        signers = signer_units(
            self._users, served, self._inventory, ground.unit, self._today, data_plane, memo
        )
        return {**access, **signers, **store_unit(self._stores, ground)}
