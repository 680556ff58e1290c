"""What holds for a whole data plane: the units `gateway` and `store`.

Used by `build.py` for each manifest, before any API. Promises: one that is refused leaves what it
said before in force; one that is no longer there leaves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico_dataplane.access_build import Part
from portico_dataplane.core.leases import Leases
from portico_ir.model import GatewayUnit, Manifest, StoreUnit


class ClassBuilder:
    """Takes them over, one manifest after another."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.gateway = GatewayUnit()
        self.store = StoreUnit()
        """Where leases are settled."""
        self.afresh = False
        """Something goes into every route that did not before, or the other way round: nothing
        that was built can be used again."""

    def take(self, manifest: Manifest, units: Mapping[str, Part], refused: dict[str, str]) -> None:
        """What a manifest says; `refused` learns of what cannot be."""
        gateway, store = units.get("gateway"), units.get("store")
        if isinstance(gateway, GatewayUnit):
            self.gateway = gateway
        elif gateway is not None:
            refused["gateway"] = "not a gateway unit"
        elif "gateway" not in manifest.units:
            self.gateway = GatewayUnit()  # what the one before permitted went with it
        if isinstance(store, StoreUnit):
            self.store = store
        elif store is not None:
            refused["store"] = "not a store unit"
        elif "store" not in manifest.units:
            self.store = StoreUnit()
        self._leases.keeps = self.store.keep
        self.afresh = self._leases.set_account(self.gateway.account_throttle)
