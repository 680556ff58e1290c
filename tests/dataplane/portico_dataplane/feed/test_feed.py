"""The feed against real stream servers over TLS; the sink only writes down what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from portico_dataplane.feed.feed import Feed
from portico_dataplane.feed.files import Address, Missing, TokenFile, TrustFile
from portico_dataplane.feed.lastgood import LastGood
from portico_dataplane.feed.times import Times
from portico_dataplane.feed.units import TRIES
from portico_ir.codec import digest
from portico_ir.model import Endpoint, EndpointSet, Snapshot
from stream_operators import CLASS, Operator, authority, publication, token_of, write_token

QUICK = Times(
    last_good_s=0.05,
    refetch_s=0.2,
    fallback_s=0.05,
    lag_s=0.05,
    resolve_s=0.05,
    hung_s=0.05,
    keep_s=0.01,
    tick_s=0.01,
)
NEVER = Times(last_good_s=1e6, fallback_s=1e6, lag_s=1e6, resolve_s=0.05, keep_s=0.01, tick_s=0.01)
ONE = Endpoint(host="10.0.0.1", port=80)
TWO = Endpoint(host="10.0.0.2", port=80)


class Outcome:
    def __init__(self, refused: dict[str, str]) -> None:
        self.refused = refused


class Sink:
    """Serves whatever it is given, but for `refuses`."""

    def __init__(self) -> None:
        self.applied: list[Snapshot] = []
        self.endpoints: list[EndpointSet] = []
        self.fallback: list[bool] = []
        self.known_then: dict[str, tuple[Endpoint, ...]] = {}
        """Addresses when the last word on ClusterIPs came."""
        self.refuses: dict[str, str] = {}
        self.busy: asyncio.Event | None = None
        """Not set: the next configuration is being built."""
        self.news = asyncio.Event()

    async def apply(self, snapshot: Snapshot) -> Outcome:
        self.applied.append(snapshot)
        self.news.set()
        if self.busy is not None:
            await self.busy.wait()
        return Outcome({u: w for u, w in self.refuses.items() if u in {*snapshot.units, "*"}})

    def set_endpoints(self, endpoints: EndpointSet) -> None:
        self.endpoints.append(endpoints)
        self.news.set()

    def set_fallback(self, *, allowed: bool) -> None:
        self.fallback.append(allowed)
        self.known_then = dict(self.endpoints[-1].upstreams) if self.endpoints else {}
        self.news.set()

    @property
    def marks(self) -> list[str]:
        return [snapshot.manifest.marks.get("Route", "") for snapshot in self.applied]


class Names:
    """Addresses as the test says."""

    def __init__(self) -> None:
        self.operators: Sequence[Operator] = ()

    async def resolve(self) -> Sequence[Address]:
        if not self.operators:
            raise Missing("no such name")
        return [Address("localhost", "127.0.0.1", operator.port) for operator in self.operators]


class Pod:
    """A feed with its files and its sink."""

    def __init__(self, folder: Path, bundle: str) -> None:
        self.sink = Sink()
        self.names = Names()
        self.token = folder / "token"
        self.bundle = folder / "ca.crt"
        self.last_good = LastGood(str(folder / "last-good"))
        write_token(self.token, token_of())
        self.bundle.write_text(bundle)
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, *operators: Operator, times: Times = NEVER) -> Feed:
        self.names.operators = operators
        self.feed = Feed(
            self.sink,
            self.names,
            TokenFile(str(self.token)),
            TrustFile(str(self.bundle)),
            last_good=self.last_good,
            pod="pod-1",
            build="test",
            times=times,
        )
        self.tasks.append(asyncio.create_task(self.feed.run()))
        return self.feed

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()


CA = authority()


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    pod = Pod(tmp_path, CA.certificate)
    yield pod
    await pod.stop()


@pytest.fixture
async def operators() -> AsyncIterator[list[Operator]]:
    """Two replicas; a test may start more."""
    running = [await Operator(CA).start(), await Operator(CA).start()]
    yield running
    for operator in running:
        await operator.close()


async def until(holds: Callable[[], bool], what: str = "") -> None:
    """Wait until it holds; nothing to be told by, so ask again at each turn."""
    try:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


def is_acknowledged(operator: Operator, pod: str = "pod-1") -> bool:
    fleet = operator.server.fleet(CLASS)
    return fleet.serial > 0 and fleet.told(pod)[0] == fleet.serial


UNITS = {"gateway": b'{"unit":"gateway"}', "api/a": b"[1]"}


async def test_what_is_published_serves_and_all_replicas_hear_of_it(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    for operator in operators:
        operator.live("pod-1")
        operator.server.publish(
            CLASS, publication(UNITS, marks={"Route": "5"}, upstreams={"a/b:80": (ONE,)})
        )
    pod.start(*operators)
    await until(lambda: is_acknowledged(one) and is_acknowledged(two))

    (snapshot,) = pod.sink.applied
    assert {unit: bytes(raw) for unit, raw in snapshot.units.items()} == UNITS
    assert snapshot.endpoints.upstreams == {"a/b:80": (ONE,)}
    assert one.server.fleet(CLASS).programmed(["api/a"], 1).is_true
    # The first publication of a replica is no change; the next one is, and both replicas see it.
    for operator in operators:
        assert operator.measures.seconds == []
        operator.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "6"}))
    await until(lambda: is_acknowledged(one) and is_acknowledged(two))
    assert [len(operator.measures.seconds) for operator in operators] == [1, 1]


async def test_only_units_that_are_missing_are_fetched(pod: Pod, operators: list[Operator]) -> None:
    one = operators[0]
    fetched: list[str] = []
    shelf = one.server._class(CLASS).shelf
    gzipped = shelf.gzipped

    async def counted(digest: str) -> bytes | None:
        fetched.append(digest)
        return await gzipped(digest)

    shelf.gzipped = counted  # type: ignore[method-assign]
    one.server.publish(CLASS, publication(UNITS))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    assert len(fetched) == 2
    # What an edit makes comes with the manifest; what is large does not.
    one.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}))
    await until(lambda: is_acknowledged(one))
    assert len(fetched) == 2
    assert bytes(pod.sink.applied[-1].units["api/a"]) == b"[2]"
    large = b'"%b"' % (b"x" * 300_000)
    one.server.publish(CLASS, publication(UNITS | {"api/a": large}))
    await until(lambda: is_acknowledged(one))
    assert len(fetched) == 3
    assert bytes(pod.sink.applied[-1].units["api/a"]) == large


async def test_a_pod_that_is_busy_gets_the_latest_and_no_queue(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    pod.sink.busy = asyncio.Event()
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "1"}))
    pod.start(one)
    await until(lambda: len(pod.sink.applied) == 1)
    for mark in range(2, 30):
        units = UNITS | {"api/a": b"[%d]" % mark}
        one.server.publish(CLASS, publication(units, marks={"Route": str(mark)}))
        await asyncio.sleep(0)
    pod.sink.busy.set()
    await until(lambda: is_acknowledged(one))
    assert pod.sink.marks[-1] == "29"
    assert len(pod.sink.applied) < 6


async def test_a_worker_that_hangs_does_not_hold_up_what_comes_next(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    pod.sink.busy = asyncio.Event()
    one.server.publish(CLASS, publication(UNITS))
    pod.start(one, times=QUICK)
    await until(lambda: len(pod.sink.applied) == 1)
    one.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}))
    await until(lambda: len(pod.sink.applied) == 2)
    assert not is_acknowledged(one)
    pod.sink.busy.set()
    await until(lambda: is_acknowledged(one))


async def test_endpoints_travel_apart_and_move_no_acknowledgement(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS, upstreams={"a": (ONE,), "b": (ONE,)}))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    one.server.set_endpoints(CLASS, EndpointSet(upstreams={"a": (TWO,), "b": (ONE,)}))
    await until(lambda: bool(pod.sink.endpoints))
    assert pod.sink.endpoints[-1].upstreams == {"a": (TWO,), "b": (ONE,)}
    one.server.set_endpoints(CLASS, EndpointSet(upstreams={"a": ()}), {"EndpointSlice": "9"})
    await until(lambda: pod.sink.endpoints[-1].upstreams == {"a": ()})
    assert len(pod.sink.applied) == 1
    numbers = [each.sequence for each in pod.sink.endpoints]
    assert numbers == sorted(set(numbers))


async def test_a_refused_unit_is_told_and_a_refused_whole_keeps_what_serves(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.live("pod-1")
    pod.sink.refuses = {"api/a": "no good"}
    one.server.publish(CLASS, publication(UNITS))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    fleet = one.server.fleet(CLASS)
    assert fleet.programmed(["api/a"], 1).reason == "Refused"
    assert "no good" in fleet.programmed(["api/a"], 1).message
    assert fleet.programmed(["gateway"], 1).is_true
    assert fleet.standing().refused == {"api/a": {"pod-1": "no good"}}

    pod.sink.refuses = {"*": "internal error"}
    one.server.publish(CLASS, publication(UNITS | {"api/b": b"[]"}))
    await until(lambda: fleet.told("pod-1")[1] != "")
    assert fleet.programmed(["gateway"], 2).reason == "Refused"
    pod.sink.refuses = {}
    one.server.publish(CLASS, publication(UNITS | {"api/b": b"[2]"}))
    await until(lambda: is_acknowledged(one))
    assert fleet.programmed(["api/a"], 3).is_true


async def test_an_ir_version_it_does_not_read_is_refused_and_the_old_stays(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.live("pod-1")
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "1"}))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    newer = publication(UNITS, marks={"Route": "2"}, ir_version=99)
    one.server.publish(CLASS, newer)
    fleet = one.server.fleet(CLASS)
    await until(lambda: fleet.told("pod-1")[1] != "")
    assert "irVersion 99" in fleet.programmed([], 2).message
    assert pod.sink.marks == ["1"]
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "3"}))
    await until(lambda: is_acknowledged(one))


def spoil(operator: Operator, unit: bytes) -> None:
    """This operator gives other bytes than its manifest names."""
    of_class = operator.server._class(CLASS)
    of_class.shelf._units[digest(unit)].encoded = unit + b" "
    of_class.board._fresh = {digest(unit): msgspec.Raw(b"[0]")}


async def test_a_unit_that_never_matches_its_digest_is_told_and_holds_up_no_other(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.live("pod-1")
    api, shard = "api/ns/HttpApi/x", "routes/ns/HttpApi/x/*/0"
    first = {"gateway": b"{}", api: b"[1]", shard: b"[1]", "api/ns/HttpApi/y": b"[1]"}
    one.server.publish(CLASS, publication(first))
    pod.start(one, times=QUICK)
    await until(lambda: is_acknowledged(one))
    one.server.publish(
        CLASS,
        publication(first | {shard: b"[2]", "api/ns/HttpApi/y": b"[2]"}, marks={"Route": "2"}),
    )
    spoil(one, b"[2]")
    await until(lambda: is_acknowledged(one))
    # `[2]` is both units; the first versions of both serve on, and the reason is told.
    fleet = one.server.fleet(CLASS)
    told = fleet.standing().refused[shard]["pod-1"]
    assert "its bytes are not those the manifest names" in told
    assert f"tried {TRIES} times" in told
    assert fleet.programmed([shard], 2).reason == "Refused"
    assert fleet.programmed(["gateway"], 2).is_true
    served = {unit: bytes(raw) for unit, raw in pod.sink.applied[-1].units.items()}
    assert served == first
    # What comes next is served as if nothing had been.
    one.server.publish(CLASS, publication(first | {api: b"[3]"}, marks={"Route": "3"}))
    await until(lambda: is_acknowledged(one))
    assert fleet.standing().refused == {}
    assert bytes(pod.sink.applied[-1].units[api]) == b"[3]"


async def test_a_unit_that_was_given_up_is_asked_for_again_after_a_while(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.live("pod-1")
    one.server.publish(CLASS, publication(UNITS))
    spoil(one, b"[1]")
    pod.start(one, times=QUICK)
    await until(lambda: is_acknowledged(one))
    fleet = one.server.fleet(CLASS)
    assert set(fleet.standing().refused) == {"api/a"}
    one.server._class(CLASS).shelf._units[digest(b"[1]")].encoded = b"[1]"
    one.server._class(CLASS).shelf._units[digest(b"[1]")].gzipped = b""
    await until(lambda: fleet.standing().refused == {}, "the unit to be mended")
    assert bytes(pod.sink.applied[-1].units["api/a"]) == b"[1]"


async def test_another_replica_gives_what_the_followed_one_cannot(
    pod: Pod, operators: list[Operator]
) -> None:
    for operator in operators:
        operator.server.publish(CLASS, publication(UNITS))
    pod.start(*operators)
    await until(lambda: all(is_acknowledged(operator) for operator in operators))
    for operator in operators:
        newer = publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "2"})
        operator.server.publish(CLASS, newer)
    assert pod.feed._followed is not None
    (followed,) = (o for o in operators if o.port == pod.feed._followed.address.port)
    spoil(followed, b"[2]")
    await until(lambda: all(is_acknowledged(operator) for operator in operators))
    assert followed.server.fleet(CLASS).told("pod-1")[2] == {}
    assert bytes(pod.sink.applied[-1].units["api/a"]) == b"[2]"


async def test_a_pod_whose_replica_is_killed_need_not_wait_for_a_change(
    pod: Pod, operators: list[Operator]
) -> None:
    """The other one has listed and watched as far, and makes other bytes of the same world."""
    one, two = operators
    old, new = UNITS, UNITS | {"api/a": b"[2]"}
    one.server.publish(CLASS, publication(new, marks={"Route": "7", "Stage": "3"}))
    one.server.advance(CLASS, {"Route": "90", "Stage": "90", "ApiKey": "90"})
    two.server.publish(CLASS, publication(old, marks={"Route": "5", "Stage": "3"}))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    pod.names.operators = operators
    await until(lambda: two.server.streams().get(CLASS) == 1)
    await one.close()
    await until(lambda: pod.feed._followed is None)
    two.server.advance(CLASS, {"Route": "6", "Stage": "95"})
    await until(
        lambda: any(link.state.marks.get("Stage") == "95" for link in pod.feed._links.values())
    )
    assert pod.feed._followed is None, "the newest change of a Route is not seen there"
    two.server.advance(CLASS, {"Route": "7"})
    await until(lambda: is_acknowledged(two))


async def test_it_moves_to_the_other_replica_and_never_backwards(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    old, new = UNITS, UNITS | {"api/a": b"[2]"}
    one.server.publish(CLASS, publication(new, marks={"Route": "7"}))
    two.server.publish(CLASS, publication(old, marks={"Route": "5"}))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    pod.names.operators = operators
    await until(lambda: two.server.streams().get(CLASS) == 1)
    await one.close()
    await until(lambda: pod.feed._followed is None)
    # It lags: other news of it that are still older than what serves change nothing.
    two.server.publish(CLASS, publication(old | {"api/b": b"[]"}, marks={"Route": "6"}))
    two.server.advance(CLASS, {"Route": "6", "Service": "90"})
    await until(
        lambda: any(link.state.marks.get("Service") == "90" for link in pod.feed._links.values())
    )
    assert pod.feed._followed is None
    assert pod.sink.marks == ["7"]
    # It has caught up, with something newer on top.
    two.server.publish(CLASS, publication(new | {"api/b": b"[]"}, marks={"Route": "8"}))
    await until(lambda: is_acknowledged(two))
    assert pod.sink.marks == ["7", "8"]


async def test_a_replica_that_offers_the_same_is_followed_without_a_swap(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "7"}))
    two.server.publish(CLASS, publication(UNITS, marks={"Route": "6"}))
    pod.start(*operators)
    await until(lambda: is_acknowledged(one) and is_acknowledged(two))
    await one.close()
    await until(lambda: pod.feed._followed is not None)
    two.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "9"}))
    await until(lambda: is_acknowledged(two))
    assert len(pod.sink.applied) == 2


async def test_an_operator_that_lags_is_left(pod: Pod, operators: list[Operator]) -> None:
    one, two = operators
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "7"}))
    pod.start(one, times=QUICK)
    await until(lambda: is_acknowledged(one))
    two.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "8"}))
    pod.names.operators = operators
    await until(lambda: is_acknowledged(two))
    # The one that lags hears of it, and what it offers is included in what serves.
    await until(lambda: is_acknowledged(one))


async def test_addresses_of_a_replica_that_is_behind_wait(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    new = publication(UNITS, marks={"EndpointSlice": "7"}, upstreams={"a": (TWO,)})
    one.server.publish(CLASS, new)
    two.server.publish(
        CLASS, publication(UNITS, marks={"EndpointSlice": "5"}, upstreams={"a": (ONE,)})
    )
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    pod.names.operators = operators
    await until(lambda: two.server.streams().get(CLASS) == 1)
    await one.close()
    await until(lambda: pod.feed._followed is not None and pod.feed._followed.sequence is not None)
    assert pod.sink.applied[-1].endpoints.upstreams == {"a": (TWO,)}
    assert pod.sink.endpoints == []
    three = Endpoint(host="10.0.0.3", port=80)
    two.server.set_endpoints(CLASS, EndpointSet(upstreams={"a": (three,)}), {"EndpointSlice": "8"})
    await until(lambda: bool(pod.sink.endpoints))
    assert [each.upstreams for each in pod.sink.endpoints] == [{"a": (three,)}]


async def test_the_last_good_snapshot_serves_when_there_is_no_operator(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "7"}, upstreams={"a": (ONE,)}))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    await until(lambda: (kept := pod.last_good.load()) is not None and kept.marks != {})
    await pod.stop()
    await one.close()

    pod.sink = Sink()
    pod.start(one, times=QUICK)
    await until(lambda: bool(pod.sink.applied))
    assert pod.sink.applied[0].endpoints.upstreams == {"a": (ONE,)}
    assert pod.sink.marks == ["7"]
    # An older operator changes nothing; one that is as new is followed.
    back = Operator(CA, port=one.port)
    back.server.publish(CLASS, publication(UNITS | {"api/a": b"[0]"}, marks={"Route": "6"}))
    await back.start()
    operators[0] = back
    await until(lambda: back.server.streams().get(CLASS) == 1)
    await until(lambda: back.server.fleet(CLASS).said("pod-1") is not None)
    back.server.publish(CLASS, publication(UNITS | {"api/a": b"[3]"}, marks={"Route": "8"}))
    await until(lambda: is_acknowledged(back))
    assert pod.sink.marks == ["7", "8"]


async def test_with_an_operator_the_last_good_snapshot_never_serves(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS, marks={"Route": "7"}))
    pod.start(one)
    await until(lambda: pod.last_good.load() is not None)
    await pod.stop()
    pod.sink = Sink()
    one.server.publish(CLASS, publication(UNITS | {"api/a": b"[3]"}, marks={"Route": "8"}))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    assert pod.sink.marks == ["8"]


async def test_a_refused_unit_is_kept_in_its_earlier_version_for_a_restart(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    api, shard = "api/ns/HttpApi/x", "routes/ns/HttpApi/x/*/0"
    first = {"gateway": b"{}", api: b"[1]", shard: b"[1]"}
    one.server.publish(CLASS, publication(first))
    pod.start(one)
    await until(lambda: pod.last_good.load() is not None)
    pod.sink.refuses = {shard: "no good"}
    one.server.publish(CLASS, publication({"gateway": b"{ }", api: b"[2]", shard: b"[2]"}))
    await until(lambda: is_acknowledged(one))
    await until(
        lambda: (kept := pod.last_good.load()) is not None and b"{ }" in kept.units.values()
    )
    kept = pod.last_good.load()
    assert kept is not None
    assert {unit: kept.units[known] for unit, known in kept.manifest.units.items()} == {
        "gateway": b"{ }",
        api: b"[1]",
        shard: b"[1]",
    }


async def test_cluster_ips_may_stand_in_once_operators_are_away(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS))
    pod.start(one, times=QUICK)
    await until(lambda: is_acknowledged(one))
    await one.close()
    await until(lambda: pod.sink.fallback[-1:] == [True])
    back = Operator(CA, port=one.port)
    back.server.publish(CLASS, publication(UNITS, upstreams={"a": (TWO,)}))
    await back.start()
    operators[0] = back
    await until(lambda: pod.sink.fallback[-1:] == [False])
    # Not before the new addresses are known: those from before may be dead.
    assert pod.sink.known_then == {"a": (TWO,)}


async def test_a_wrong_authority_is_not_trusted_until_the_bundle_has_it(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS))
    pod.bundle.write_text(authority().certificate)
    pod.start(one)
    await until(lambda: any("certificate" in link.failure for link in pod.feed._links.values()))
    assert one.access.reviews == 0
    pod.bundle.write_text(CA.certificate)
    await until(lambda: is_acknowledged(one))


async def test_a_token_that_is_denied_is_read_again(pod: Pod, operators: list[Operator]) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS))
    write_token(pod.token, token_of(expires_in=-1))
    pod.start(one)
    await until(lambda: one.access.denials["expired"] > 0)
    assert pod.sink.applied == []
    write_token(pod.token, token_of())
    await until(lambda: is_acknowledged(one))


async def test_a_class_gets_its_own_units_only(pod: Pod, operators: list[Operator]) -> None:
    one = operators[0]
    one.server.publish("other", publication({"gateway": b"[3]"}))
    one.server.publish(CLASS, publication(UNITS))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    (link,) = pod.feed._links.values()
    from portico_dataplane.feed.link import UnitError

    with pytest.raises(UnitError, match="404"):
        await link.fetch(digest(b"[3]"))
    assert await link.fetch(digest(b"[1]")) == b"[1]"


async def test_an_address_that_left_is_forgotten_with_its_stream(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    for operator in operators:
        operator.server.publish(CLASS, publication(UNITS))
    pod.start(*operators)
    await until(lambda: is_acknowledged(one) and is_acknowledged(two))
    pod.names.operators = [two]
    await one.close()
    await until(lambda: len(pod.feed._links) == 1)


async def test_of_two_versions_side_by_side_the_readable_one_is_followed(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    newer = publication(UNITS, marks={"Route": "7"}, ir_version=99)
    one.server.publish(CLASS, newer)
    pod.start(one, times=QUICK)
    fleet = one.server.fleet(CLASS)
    await until(lambda: fleet.told("pod-1")[1] != "")
    assert pod.sink.applied == []
    two.server.publish(CLASS, publication(UNITS, marks={"Route": "7"}))
    pod.names.operators = operators
    await until(lambda: is_acknowledged(two))
    # An edit that both have seen: the newer one's is not even tried.
    one.server.publish(
        CLASS, publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "8"}, ir_version=99)
    )
    two.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "8"}))
    await until(lambda: is_acknowledged(two))
    assert pod.sink.marks == ["7", "8"]


async def test_two_builds_that_disagree_do_not_pull_a_pod_to_and_fro(
    pod: Pod, operators: list[Operator]
) -> None:
    one, two = operators
    for mark in range(1, 6):
        for number, operator in enumerate(operators):
            units = UNITS | {"api/a": b"[%d,%d]" % (mark, number)}
            operator.server.publish(CLASS, publication(units, marks={"Route": str(mark)}))
        if mark == 1:
            pod.start(*operators, times=QUICK)
        await until(lambda: is_acknowledged(one) or is_acknowledged(two))
    assert pod.sink.marks == ["1", "2", "3", "4", "5"]
    assert len({bytes(snapshot.units["api/a"]) for snapshot in pod.sink.applied}) == 5
    first = is_acknowledged(one)
    assert is_acknowledged(two) is not first


async def test_names_that_stop_resolving_take_no_stream_away(
    pod: Pod, operators: list[Operator]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, publication(UNITS))
    pod.start(one)
    await until(lambda: is_acknowledged(one))
    pod.names.operators = []
    one.server.publish(CLASS, publication(UNITS | {"api/a": b"[2]"}, marks={"Route": "8"}))
    await until(lambda: is_acknowledged(one))
    assert pod.sink.fallback == []
