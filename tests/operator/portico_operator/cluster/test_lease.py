"""Lease: the election's decisions as requests, and what lost answers do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fake_kube import FakeKube, error, until
from portico_operator.cluster.lease import Lease
from portico_operator.election import Terms
from portico_operator.tasks import end, spawn

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/n/leases"
PATH = f"{COLLECTION}/l"
TERMS = Terms(10.0, 0.004, 2.0)


class Server(FakeKube):
    """One Lease, with resourceVersions."""

    def __init__(self) -> None:
        super().__init__()
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.down = False
        self.loses_answers = False
        self.answers["GET", PATH] = lambda *_: self._get()
        self.answers["POST", COLLECTION] = lambda _, body: self._post(body)
        self.answers["PATCH", PATH] = lambda _, body: self._patch(body)

    def _get(self) -> Any:
        if self.down:
            return error(0)
        return self.lease or error(404)

    def _post(self, body: Any) -> Any:
        if self.down:
            return error(0)
        if self.lease is not None:
            return error(409, "AlreadyExists")
        return self._stored({}, body)

    def _patch(self, body: Any) -> Any:
        if self.down:
            return error(0)
        if self.lease is None:
            return error(404)
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            return error(409)
        return self._stored(self.lease["spec"], body)

    def _stored(self, before: Any, body: Any) -> Any:
        self.version += 1
        self.lease = {
            "metadata": {"name": "l", "resourceVersion": str(self.version)},
            "spec": {**before, **body["spec"]},
        }
        return error(0) if self.loses_answers else self.lease

    @property
    def holder(self) -> str:
        return "" if self.lease is None else str(self.lease["spec"]["holderIdentity"])


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def candidate(server: Server, identity: str, clock: Clock) -> AsyncIterator[Lease]:
    lease = Lease(server, "n", "l", identity, TERMS, clock)
    task = spawn(lease.run(), name=identity)
    try:
        yield lease
    finally:
        await end((task,))


async def test_the_first_creates_it_and_the_second_waits() -> None:
    server, clock = Server(), Clock()
    async with candidate(server, "a", clock) as a:
        await until(a.is_leader)
        async with candidate(server, "b", clock) as b:
            before = server.version
            await until(lambda: server.version > before + 3)
            assert a.is_leader()
            assert not b.is_leader()
            assert server.holder == "a"


async def test_leaving_releases_it_at_once() -> None:
    server, clock = Server(), Clock()
    told: list[bool] = []
    async with candidate(server, "a", clock) as a:
        a.subscribe(told.append)
        await until(a.is_leader)
    assert server.holder == ""
    assert told == [True, False]
    async with candidate(server, "b", clock) as b:
        await until(b.is_leader)


async def test_an_api_server_that_is_away_ends_leading_in_time() -> None:
    server, clock = Server(), Clock()
    async with candidate(server, "a", clock) as a:
        await until(a.is_leader)
        server.down = True
        clock.now = TERMS.duration - TERMS.margin
        assert not a.is_leader()
        server.down = False
        await until(a.is_leader)


async def test_a_lost_answer_is_found_out() -> None:
    server, clock = Server(), Clock()
    async with candidate(server, "a", clock) as a:
        await until(a.is_leader)
        server.loses_answers = True
        before = server.version
        await until(lambda: server.version > before)
        server.loses_answers = False
        before = server.version
        await until(lambda: server.version > before)
        assert a.is_leader()
        assert server.holder == "a"


async def test_a_stolen_lease_ends_leading() -> None:
    server, clock = Server(), Clock()
    async with candidate(server, "a", clock) as a:
        await until(a.is_leader)
        assert server.lease is not None
        server._stored(server.lease["spec"], {"spec": {"holderIdentity": "thief"}})
        await until(lambda: not a.is_leader())
    assert server.holder == "thief"
