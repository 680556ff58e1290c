"""The usage endpoint: AWS's GetUsage and UpdateUsage (AWS §7.4), and who may answer."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from portico_ir.access import Plan, Quota
from portico_ir.leases import Requests
from portico_ir.ledger import Ledger
from portico_ir.periods import day_from
from portico_operator.usage_server import Kept, LedgerBooks, Unreachable, UsageServer

DAY_MS = 86_400_000
TODAY = 20_000
NOW = float(TODAY * DAY_MS)
GOLD = Plan(id="gold", name="d/gold", quota=Quota(limit=100, period="DAY"))
FREE = Plan(id="free", name="d/free")


class Bed:
    """A server over a ledger that counted seven requests of one key; another key is idle."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.ledger.usage.add("gold", "k1", TODAY, 7)
        self.away = ""
        self.lasts = True
        self.books = LedgerBooks(lambda _: self.ledger, self.extend, lambda: NOW)
        self.server = UsageServer(self, lambda: NOW)
        self.url = ""

    async def extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        quota = plan.quota
        assert quota is not None
        limit = Requests(plan.id, key, quota.limit, quota.period, quota.offset)
        self.ledger.extend(limit, remaining, NOW)
        if not self.lasts:
            raise Unreachable("it counts, but is not saved yet")

    def elsewhere(self) -> str:
        return self.away

    def find(self, plan_id: str) -> Kept | None:
        found = {plan.id: plan for plan in (GOLD, FREE)}.get(plan_id)
        return None if found is None else Kept("c", found, self.books)

    async def holds(self, kept: Kept, key: str) -> bool:
        return key in ("k1", "idle")

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, self.url + path, **arguments) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    made = Bed()
    listening = socket.create_server(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    await made.server.start(listening)
    yield made
    await made.server.close()


async def test_get_usage_in_the_shape_of_aws(bed: Bed) -> None:
    status, told = await bed.ask("GET", "/usageplans/gold/usage")
    assert status == 200
    assert told["items"]["k1"][-1] == [7, 93]
    status, told = await bed.ask("GET", "/usageplans/gold/usage?keyId=idle")
    assert (status, told["items"]["idle"][-1]) == (200, [0, 100])


async def test_update_usage_says_what_remains(bed: Bed) -> None:
    body = {"patchOperations": [{"op": "replace", "path": "/remaining", "value": "500"}]}
    status, told = await bed.ask("PATCH", "/usageplans/gold/keys/k1/usage", json=body)
    assert status == 200
    assert told["items"]["k1"][-1] == [7, 500]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"patchOperations": []},
        {"patchOperations": [{"op": "add", "path": "/remaining", "value": "1"}]},
        {"patchOperations": [{"op": "replace", "path": "/other", "value": "1"}]},
        {"patchOperations": [{"op": "replace", "path": "/remaining", "value": "-1"}]},
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(bed: Bed, body: Any) -> None:
    status, told = await bed.ask("PATCH", "/usageplans/gold/keys/k1/usage", json=body)
    assert status == 400
    assert told["message"]


async def test_what_cannot_be_asked(bed: Bed) -> None:
    assert (await bed.ask("GET", "/usageplans/nobody/usage"))[0] == 404
    assert (await bed.ask("GET", "/usageplans/gold/usage?startDate=yesterday"))[0] == 400
    body = {"patchOperations": [{"op": "replace", "path": "/remaining", "value": "1"}]}
    assert (await bed.ask("PATCH", "/usageplans/free/keys/k1/usage", json=body))[0] == 400


async def test_keys_that_nobody_has_are_refused(bed: Bed) -> None:
    for method, path in (("GET", "usage?keyId=nobody"), ("PATCH", "keys/nobody/usage")):
        body = {"patchOperations": [{"op": "replace", "path": "/remaining", "value": "1"}]}
        arguments = {"json": body} if method == "PATCH" else {}
        status, told = await bed.ask(method, f"/usageplans/gold/{path}", **arguments)
        assert (status, told) == (404, {"message": "Invalid API Key identifier specified"})


async def test_a_key_that_went_has_used_what_it_has_used(bed: Bed) -> None:
    bed.ledger.usage.add("gold", "gone", TODAY, 3)
    status, told = await bed.ask("GET", "/usageplans/gold/usage?keyId=gone")
    assert (status, told["items"]["gone"][-1]) == (200, [3, 97])


async def test_an_extension_that_may_not_last_is_no_success(bed: Bed) -> None:
    bed.lasts = False
    body = {"patchOperations": [{"op": "replace", "path": "/remaining", "value": "5"}]}
    status, told = await bed.ask("PATCH", "/usageplans/gold/keys/k1/usage", json=body)
    assert (status, told) == (503, {"message": "it counts, but is not saved yet"})


async def test_a_replica_that_does_not_keep_says_who_does(bed: Bed) -> None:
    bed.away = "usage is kept by operator-1"
    status, told = await bed.ask("GET", "/usageplans/gold/usage")
    assert (status, told) == (503, {"message": "usage is kept by operator-1"})


def test_days_are_days() -> None:
    import datetime as dt

    assert day_from(dt.date(1970, 1, 2)) == 1
