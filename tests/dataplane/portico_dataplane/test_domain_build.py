"""Units of domains: built once, refused alone, kept while a newer version is refused."""

from __future__ import annotations

from portico_dataplane.domain_build import DomainBuilder
from portico_ir.domains import DomainUnit, Mapping
from portico_ir.model import GatewayUnit, Manifest, Unit


async def no_breath() -> None:
    """Time is no concern here."""


class World:
    """A builder and what it was told last."""

    def __init__(self) -> None:
        self.builder = DomainBuilder(no_breath)
        self.refused: dict[str, str] = {}

    async def build(
        self, units: dict[str, Unit], *, unreadable: tuple[str, ...] = ()
    ) -> dict[str, str]:
        """Host to `namespace/name` for every host of these units."""
        self.refused = dict.fromkeys(unreadable, "not readable")
        names = dict.fromkeys((*units, *unreadable), "digest")
        manifest = Manifest(ir_version=1, units=names)
        domains = await self.builder.build(manifest, units, self.refused)
        hosts = [h for each in domains.all for h in each.unit.hosts]
        found = {host: domains.find(host) for host in hosts}
        return {host: each.unit.object for host, each in found.items() if each is not None}


def domain(name: str, *hosts: str, keys: tuple[str, ...] = ()) -> DomainUnit:
    mappings = tuple(Mapping(key=key, api="a", stage="s") for key in keys)
    return DomainUnit(object=f"a/{name}", hosts=hosts, mappings=mappings)


async def test_what_did_not_change_stays() -> None:
    world = World()
    one, two = domain("one", "one.example"), domain("two", "two.example")
    await world.build({"domain/a/one": one, "domain/a/two": two})
    before = world.builder.current
    assert await world.build({"domain/a/one": one, "domain/a/two": two})
    assert world.builder.current is before
    await world.build({"domain/a/one": one, "domain/a/two": domain("two", "2.example")})
    assert world.builder.current is not before
    assert world.builder.current.all[0] is before.all[0]
    assert id(one) in world.builder.units
    assert await world.build({}) == {}
    assert not world.builder.units


async def test_a_refused_one_keeps_what_it_said_and_holds_up_no_other() -> None:
    world = World()
    good = {
        "domain/a/one": domain("one", "one.example"),
        "domain/a/two": domain("two", "t.example"),
    }
    await world.build(dict(good))
    twice = domain("one", "new.example", keys=("x", "x"))
    serving = await world.build({"domain/a/one": twice, "domain/a/two": domain("two", "n.example")})
    assert serving == {"one.example": "a/one", "n.example": "a/two"}
    assert world.refused == {"domain/a/one": "two mappings have one key"}
    serving = await world.build(
        {"domain/a/two": good["domain/a/two"]}, unreadable=("domain/a/one",)
    )
    assert serving == {"one.example": "a/one", "t.example": "a/two"}


async def test_a_kept_version_has_what_nobody_else_claims() -> None:
    world = World()
    await world.build({"domain/a/one": domain("one", "a.example", "b.example")})
    newer = domain("two", "b.example")
    serving = await world.build({"domain/a/two": newer}, unreadable=("domain/a/one",))
    assert serving == {"a.example": "a/one", "b.example": "a/two"}


async def test_a_host_has_one_owner() -> None:
    world = World()
    units = {"domain/a/one": domain("one", "a.example"), "domain/a/two": domain("two", "a.example")}
    assert await world.build(dict(units)) == {"a.example": "a/one"}
    assert "belongs to domain/a/one" in world.refused["domain/a/two"]


async def test_another_kind_of_unit_is_refused() -> None:
    world = World()
    assert await world.build({"domain/a/one": GatewayUnit()}) == {}
    assert world.refused == {"domain/a/one": "not a unit of a domain"}
