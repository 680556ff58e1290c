"""The usage endpoint: AWS's GetUsage and UpdateUsage (AWS §7.4), and who may answer."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from portico_ir.access import Plan, Quota
from portico_ir.periods import day_from
from portico_operator.keeper import Keeper, Sheet
from portico_operator.usage_server import KeeperBooks, UsageServer

DAY_MS = 86_400_000
TODAY = 20_000
NOW = float(TODAY * DAY_MS)
GOLD = Plan(id="gold", name="d/gold", quota=Quota(limit=100, period="DAY"))
FREE = Plan(id="free", name="d/free")


class Bed:
    """A server over a keeper that counted seven requests of one key."""

    def __init__(self) -> None:
        self.keeper = Keeper()
        self.keeper.set_plans("c", (GOLD, FREE))
        sheet = Sheet(class_name="c", day=TODAY, usage={"gold": {"k1": 7}})
        self.keeper.begin(1, [sheet], NOW)
        self.leading = True
        books = KeeperBooks(self.keeper, lambda: NOW)
        self.server = UsageServer(
            self.keeper,
            lambda _: books,
            leads=lambda: self.leading,
            leader=lambda: "operator-1",
            unix_ms=lambda: NOW,
        )
        self.url = ""

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
    status, told = await bed.ask("GET", "/usageplans/gold/usage?keyId=nobody")
    assert (status, list(told["items"])) == (200, ["nobody"])


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


async def test_a_replica_that_does_not_keep_says_who_does(bed: Bed) -> None:
    bed.leading = False
    status, told = await bed.ask("GET", "/usageplans/gold/usage")
    assert (status, told) == (503, {"message": "usage is kept by operator-1"})
    bed.leading = True
    bed.keeper.end()
    assert (await bed.ask("GET", "/usageplans/gold/usage"))[0] == 503


def test_days_are_days() -> None:
    import datetime as dt

    assert day_from(dt.date(1970, 1, 2)) == 1
