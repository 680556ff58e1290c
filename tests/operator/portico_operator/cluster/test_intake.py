"""Intake: events and lists into the store, and kinds that go and come back."""

from __future__ import annotations

from typing import Any

from fake_kube import FakeKube, error, item, listing, until
from portico_operator.cluster.intake import Intake, Pace
from portico_operator.cluster.resources import CORE, OURS
from portico_operator.store import ALL, Scope, Store
from portico_operator.tasks import end

PACE = Pace(relist=3600.0, linger=0.0, reborn_quiet=0.01, reborn_empty=0.02)
ROUTES = Scope("Route", ALL)
PATH = OURS["Route"].path()
SERVICE = {"integration": {"service": {"name": "pets", "port": 80}}}


def definition_path(kind: str) -> str:
    plural = OURS[kind].plural
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.portico.dev"


def definition(uid: str = "u") -> dict[str, Any]:
    state = {"conditions": [{"type": "Established", "status": "True"}]}
    return {"metadata": {"uid": uid}, "status": state}


class Bed:
    """An intake over scripted answers."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.store = Store()
        self.touched = 0
        self.intake = Intake(self.kube, self.store, self._touch, pace=PACE)

    def _touch(self) -> None:
        self.touched += 1

    def listed(self, *items: dict[str, Any]) -> None:
        self.store.expect((ROUTES,))
        self.store.listed(ROUTES, [], 1)
        for raw in items:
            self.intake.take("Route", "ADDED", raw)

    async def close(self) -> None:
        running = [*self.intake._reflectors.values(), *self.intake._returning.values()]
        await end([*running, *self.intake._tasks])


async def test_events_touch_the_reconciler_only_when_they_are_news() -> None:
    bed = Bed()
    bed.intake.take("Route", None, item("a", 5))
    bed.intake.take("Route", "ADDED", item("a", 5))
    assert bed.touched == 1
    bed.intake.take("Route", "DELETED", item("a", 6))
    assert bed.touched == 2
    bed.intake.take("Route", "ADDED", {"metadata": {}})
    assert bed.touched == 2


async def test_core_kinds_are_watched_while_something_refers_to_them() -> None:
    bed = Bed()
    for kind in ("Service", "EndpointSlice"):
        bed.kube.answers["GET", CORE[kind].path("n")] = listing(version=3)
    bed.intake.take("Route", "ADDED", item("a", 5, spec=SERVICE))
    assert bed.store.missing() == [Scope("EndpointSlice", "n"), Scope("Service", "n")]
    await until(lambda: not bed.store.missing())
    bed.intake.take("Route", "DELETED", item("a", 6))
    assert not bed.intake._reflectors
    await bed.close()


async def test_a_namespace_that_may_not_be_read_holds_nobody_up() -> None:
    bed = Bed()
    for kind in ("Service", "EndpointSlice"):
        bed.kube.answers["GET", CORE[kind].path("n")] = error(403)
    bed.intake.take("Route", "ADDED", item("a", 5, spec=SERVICE))
    await until(lambda: not bed.store.missing())
    await bed.close()


async def test_referenced_secrets_are_read_again() -> None:
    bed = Bed()
    raw = item("key", 4, data={"value": "c2VjcmV0"})
    bed.kube.answers["GET", CORE["Secret"].path("n")] = listing(raw)
    bed.kube.answers["GET", CORE["Secret"].path("n", "key")] = raw

    def contents() -> int:
        return sum("data" in secret.body for secret in bed.store.of_kind("Secret"))

    bed.intake.take("ApiKey", "ADDED", item("k", 5, spec={"secretRef": {"name": "other"}}))
    await until(lambda: bed.store.is_listed(Scope("Secret", "n")))
    assert contents() == 0
    bed.intake.take("ApiKey", "ADDED", item("l", 6, spec={"secretRef": {"name": "key"}}))
    await until(lambda: contents() == 1)
    await bed.close()


async def test_a_users_deletion_is_believed() -> None:
    bed = Bed()
    bed.kube.answers["GET", definition_path("Route")] = definition()
    bed.listed(item("a", 5))
    bed.intake.take("Route", "DELETED", item("a", 6))
    assert bed.store.deleted_kinds() == {"Route"}
    assert await bed.intake.confirm()
    assert not bed.store.deleted_kinds()


async def test_a_deletion_waits_while_nobody_can_say() -> None:
    bed = Bed()
    bed.kube.answers["GET", definition_path("Route")] = [error(503), definition()]
    bed.listed(item("a", 5))
    bed.intake.take("Route", "DELETED", item("a", 6))
    assert not await bed.intake.confirm()
    assert await bed.intake.confirm()


async def test_a_kind_that_goes_blocks_until_it_is_back_with_its_objects() -> None:
    bed = Bed()
    back: list[bool] = []
    bed.kube.answers["GET", definition_path("Route")] = lambda *_: (
        definition("2") if back else error(404)
    )
    bed.kube.answers["GET", PATH] = listing(item("a", 30), version=31)
    bed.listed(item("a", 5))
    bed.intake.take("Route", "DELETED", item("a", 6))
    assert not await bed.intake.confirm()
    assert bed.store.missing() == [ROUTES]
    before = bed.touched
    back.append(True)
    await until(lambda: not bed.store.missing())
    assert [object_.ref.name for object_ in bed.store.of_kind("Route")] == ["a"]
    await until(lambda: bed.touched > before)
    assert await bed.intake.confirm()
    await bed.close()


async def test_a_kind_that_comes_back_empty_is_believed_in_the_end() -> None:
    bed = Bed()
    bed.kube.answers["GET", definition_path("Route")] = [definition("1"), definition("2")]
    bed.kube.answers["GET", PATH] = listing(version=31)
    bed.listed(item("a", 5), item("b", 6))
    assert await bed.intake.confirm(frozenset({"Route"}))
    bed.intake.take("Route", "DELETED", item("a", 7))
    assert not await bed.intake.confirm()
    await until(lambda: not bed.store.missing())
    assert not list(bed.store.of_kind("Route"))
    await bed.close()


async def test_the_slow_relist_heals_what_a_watch_missed() -> None:
    bed = Bed()
    bed.listed(item("same", 5), item("behind", 6), item("gone", 7))
    bed.kube.answers["GET", PATH] = listing(item("same", 5), item("behind", 20), version=30)
    bed.kube.answers["GET", OURS["Route"].path("n", "behind")] = item("behind", 20)
    await bed.intake._compare("Route")
    kept = {o.ref.name: o.generation for o in bed.store.of_kind("Route")}
    assert kept == {"same": 5, "behind": 20}
    assert bed.store.deleted_kinds() == {"Route"}
