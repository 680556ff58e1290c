"""The units `gateway` and `store`: what is refused stays as it was, what is gone leaves nothing."""

from __future__ import annotations

from portico_dataplane.class_build import ClassBuilder
from portico_dataplane.core.leases import Leases
from portico_ir.access import Bucket
from portico_ir.model import IR_VERSION, GatewayUnit, Manifest, PlansUnit, StoreUnit, Unit


class World:
    """One builder after another manifest."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.builder = ClassBuilder(self.leases)
        self.refused: dict[str, str] = {}

    def take(self, *missing: str, **units: Unit) -> bool:
        """The units, and those that the manifest names but nobody could read."""
        self.refused = {}
        names = dict.fromkeys((*units, *missing), "digest")
        manifest = Manifest(ir_version=IR_VERSION, units=names)
        self.builder.take(manifest, units, self.refused)
        return self.builder.afresh


THROTTLED = GatewayUnit(account_throttle=Bucket(rate=5, burst=7))


def test_an_account_throttle_comes_changes_and_goes() -> None:
    world = World()
    assert not world.take(gateway=GatewayUnit())
    assert world.take(gateway=THROTTLED)
    account = world.leases.account
    assert account is not None
    assert account.limit.burst == 7
    assert not world.take(gateway=GatewayUnit(account_throttle=Bucket(rate=1, burst=1)))
    assert world.leases.account is account
    assert account.limit.burst == 1
    assert world.take()
    assert world.leases.account is None


def test_a_gateway_that_cannot_be_read_stays_as_it_was() -> None:
    world = World()
    world.take(gateway=THROTTLED)
    assert not world.take("gateway")
    assert world.builder.gateway is THROTTLED
    assert not world.take(gateway=PlansUnit())
    assert world.refused == {"gateway": "not a gateway unit"}
    assert world.builder.gateway is THROTTLED


def test_a_store_says_what_happens_while_it_is_away() -> None:
    world = World()
    world.take(store=StoreUnit(keep=False))
    assert not world.leases.keeps
    world.take("store")
    assert not world.leases.keeps
    world.take(store=PlansUnit())
    assert world.refused == {"store": "not a store unit"}
    assert not world.leases.keeps
    world.take()
    assert world.leases.keeps
    assert world.builder.store == StoreUnit()
