"""The throttle policy: AWS's order and texts, all tokens or none, and waiting for one of them."""

from __future__ import annotations

import pytest

from portico_dataplane.core.caller import Caller
from portico_dataplane.core.credentials import Credentials, Directory
from portico_dataplane.core.key_counters import Counters
from portico_dataplane.core.lease import BucketLease, Lease
from portico_dataplane.core.leases import Leases
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CONTINUE, NeedTokens, Reject, Verdict
from portico_dataplane.policies.throttle import ThrottlePolicy
from portico_ir.access import Bucket, Plan, PlanStage, Quota
from portico_ir.errors import ErrorKind
from portico_ir.leases import Grant
from portico_ir.model import ApiKind, ApiUnit
from portico_ir.policies import Throttle

NOW = 1_795_435_200_000
PLACE = ("uid", "prod", "GET /a")
PLAN = Plan(
    id="p",
    name="default/p",
    stages=(PlanStage(api="uid", stage="prod", throttles={"GET /a": Bucket(rate=1, burst=9)}),),
    throttle=Bucket(rate=10, burst=9),
    quota=Quota(limit=9, period="DAY"),
)
ORDER = [
    "method/p/k/uid/prod/GET /a",
    "plan/p/k",
    "quota/p/k",
    "client",
    "route",
    "stage",
    "account",
]


class World:
    """A route with every counter there is, and tokens for all."""

    def __init__(self, *, client: bool = True, retry_after: bool = False) -> None:
        self.leases = Leases()
        self.counters = Counters(self.leases)
        directory = Directory()
        directory.credentials = Credentials({}, [PLAN])
        own = tuple(self.leases.bucket(name, 0.5, 9) for name in ("route", "stage", "account"))
        spec = Throttle(rate=1, burst=9, per_client=True) if client else None
        self.policy = ThrottlePolicy(PLACE, own, spec, self.counters, directory)
        self.api = ApiUnit(
            uid="uid",
            api_id="abcdefghij",
            kind=ApiKind.REST,
            name="a",
            namespace="d",
            retry_after=retry_after,
        )
        key = self.counters.key(PLAN, "k", NOW).on(PLACE)
        mine = self.counters.client("/".join(PLACE), "10.0.0.1", 1, 9, NOW)
        self.all: list[Lease] = [*key, mine, *own]

    def stock(self, tokens: float = 5, *, but: int = -1) -> None:
        """Tokens for all counters but one, which has none and will have none for a while."""
        for position, lease in enumerate(self.all):
            amount = 0.0 if position == but else tokens
            self.leases.granted(
                Grant(lease.id, amount, recheck_ms=5_000, period=7, ends_ms=60_000.0), NOW
            )

    def request(self, key: str = "k") -> Request:
        request = Request()
        request.received_ms = NOW
        request.source_ip = "10.0.0.1"
        request.api = self.api
        request.caller = Caller()
        if key:
            request.caller.plan, request.caller.api_key_id = "p", key
        return request

    def left(self) -> list[float]:
        return [lease.tokens for lease in self.all]


def test_a_request_takes_one_of_each() -> None:
    world = World()
    world.stock()
    assert world.policy.on_request(world.request()) is CONTINUE
    assert world.left() == [4] * 7


def test_without_a_key_the_plan_has_no_part_in_it() -> None:
    world = World()
    world.stock()
    assert world.policy.on_request(world.request(key="")) is CONTINUE
    assert world.left() == [5, 5, 5, 4, 4, 4, 4]


@pytest.mark.parametrize("position", range(7))
def test_one_that_refuses_costs_the_others_nothing(position: int) -> None:
    world = World()
    world.stock(but=position)
    verdict = world.policy.on_request(world.request())
    assert isinstance(verdict, Reject)
    quota = ORDER[position].startswith("quota")
    assert verdict.kind is (ErrorKind.QUOTA_EXCEEDED if quota else ErrorKind.THROTTLED)
    assert verdict.message is None
    assert verdict.headers == ()
    assert ORDER[position].partition("/")[0] in verdict.cause
    assert world.left() == [0 if at == position else 5 for at in range(7)]


def test_the_plan_s_throttle_comes_before_its_quota() -> None:
    """AWS §7.3: Too Many Requests where both would refuse."""
    world = World()
    world.stock(0.0)
    verdict = world.policy.on_request(world.request())
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.THROTTLED
    assert verdict.cause.endswith("method/p/k/uid/prod/GET /a")


@pytest.mark.parametrize(("position", "seconds"), [(2, b"60"), (4, b"2"), (1, b"1")])
def test_retry_after_only_where_it_is_asked_for(position: int, seconds: bytes) -> None:
    world = World(retry_after=True)
    world.stock(but=position)
    verdict = world.policy.on_request(world.request())
    assert isinstance(verdict, Reject)
    assert verdict.headers == ((b"Retry-After", seconds),)


def test_a_bucket_that_never_fills_names_no_time() -> None:
    world = World(retry_after=True)
    world.stock()
    world.leases.bucket("route", 0, 0)
    verdict = world.policy.on_request(world.request())
    assert isinstance(verdict, Reject)
    assert verdict.headers == ()


@pytest.mark.parametrize("position", range(7))
def test_it_waits_for_the_one_that_is_not_known(position: int) -> None:
    world = World()
    for at, lease in enumerate(world.all):
        if at != position:
            world.leases.granted(Grant(lease.id, 5, period=7, ends_ms=60_000.0), NOW)
    verdict = world.policy.on_request(world.request())
    assert isinstance(verdict, NeedTokens)
    assert verdict.lease is world.all[position]
    verdict.lease.tokens = 1
    verdict.lease.take(NOW)
    assert verdict.then(True) is CONTINUE
    assert world.left() == [0 if at == position else 4 for at in range(7)]


def test_it_may_wait_for_one_after_the_other() -> None:
    world = World(client=False)
    request = world.request(key="")
    verdict: Verdict = world.policy.on_request(request)
    for name in ("route", "stage", "account"):
        assert isinstance(verdict, NeedTokens)
        assert verdict.lease.id == name
        verdict = verdict.then(True)
    assert verdict is CONTINUE


def test_in_vain() -> None:
    world = World()
    world.stock(but=6)
    world.all[6].recheck_at = 0
    verdict = world.policy.on_request(world.request())
    assert isinstance(verdict, NeedTokens)
    assert world.left() == [4] * 6 + [0]
    refused = verdict.then(False)
    assert isinstance(refused, Reject)
    assert refused.kind is ErrorKind.THROTTLED
    assert world.left() == [5] * 6 + [0]


def test_clients_do_not_share() -> None:
    world = World()
    world.stock(but=3)
    other = world.request()
    other.source_ip = "10.0.0.2"
    mine = world.counters.client("/".join(PLACE), "10.0.0.2", 1, 9, NOW)
    world.leases.granted(Grant(mine.id, 1), NOW)
    assert isinstance(world.policy.on_request(world.request()), Reject)
    assert world.policy.on_request(other) is CONTINUE


def test_a_plan_that_changes_holds_from_the_next_request() -> None:
    world = World(client=False)
    world.stock()
    directory = Directory()
    directory.credentials = Credentials({}, [Plan(id="p", name="default/p")])
    own = tuple(lease for lease in world.all[4:] if isinstance(lease, BucketLease))
    policy = ThrottlePolicy(PLACE, own, None, world.counters, directory)
    for _ in range(5):
        assert policy.on_request(world.request()) is CONTINUE
    assert world.counters.keys["p", "k"].common[0].spent == 5
