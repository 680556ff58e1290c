"""UsageServer: who used how much of which plan, for people and the command line, as AWS tells it.

Started by `app` on loopback only: who may open a port of the pod (`kubectl port-forward`) may ask.
`GET /usageplans/{id}/usage` is AWS's GetUsage, `PATCH /usageplans/{id}/keys/{key}/usage` its
UpdateUsage (AWS §7.4). Promises: a replica that does not keep says who does instead of guessing; a
wrong question is answered with what is wrong.
"""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from portico_ir import usage
from portico_ir.access import Plan
from portico_ir.periods import date_of, day_from, day_of
from portico_operator.keeper import Keeper

LONGEST_PERIOD: Final = 31
"""Days before the first one asked for that its quota may go back to."""
USUAL_DAYS: Final = 30
"""What is told when nobody says from when to when."""


class Books(Protocol):
    """Where the usage of a class is."""

    async def by_key(
        self, class_name: str, plan: str, first: int, end: int
    ) -> Mapping[str, Mapping[int, int]]:
        """Key to day to requests; `Unreachable` when it cannot be had."""
        ...

    async def extras(self, class_name: str, plan: Plan, keys: set[str]) -> Mapping[str, int]:
        """What keys may do beyond the plan's quota in this period."""
        ...

    async def extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        """Let a key do so many more in this period."""
        ...


class Unreachable(Exception):
    """The store cannot be asked; the message says why."""


class UsageServer:
    """Two paths on one socket."""

    def __init__(
        self,
        keeper: Keeper,
        books: Callable[[str], Books],
        *,
        leads: Callable[[], bool],
        leader: Callable[[], str],
        unix_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        """`books`: by class; `leader`: who holds the Lease, as far as it is known."""
        self._keeper = keeper
        self._books = books
        self._leads = leads
        self._leader = leader
        self._unix_ms = unix_ms
        app = web.Application()
        app.router.add_get("/usageplans/{plan}/usage", self._answered(self._get))
        app.router.add_patch("/usageplans/{plan}/keys/{key}/usage", self._answered(self._update))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket that is bound."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    def _answered(
        self, handle: Callable[[web.Request, str, Plan], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.Response:
            if not self._leads() or self._keeper.term < 0:
                return _refusal(503, f"usage is kept by {self._leader() or 'nobody yet'}")
            found = self._keeper.plan(request.match_info["plan"])
            if found is None:
                return _refusal(404, "Invalid Usage Plan ID specified")
            try:
                return await handle(request, *found)
            except Unreachable as why:
                return _refusal(503, str(why))

        return answer

    async def _get(self, request: web.Request, class_name: str, plan: Plan) -> web.Response:
        today = day_of(self._unix_ms())
        between = usage.dates(
            request.query.get("startDate", date_of(today - USUAL_DAYS + 1).isoformat()),
            request.query.get("endDate", date_of(today).isoformat()),
        )
        if isinstance(between, str):
            return _refusal(400, between)
        return _told(await self._report(class_name, plan, request.query.get("keyId"), *between))

    async def _update(self, request: web.Request, class_name: str, plan: Plan) -> web.Response:
        remaining = _remaining(await request.read())
        if isinstance(remaining, str):
            return _refusal(400, remaining)
        if plan.quota is None:
            return _refusal(400, "the usage plan has no quota")
        key = request.match_info["key"]
        await self._books(class_name).extend(class_name, plan, key, remaining)
        today = date_of(day_of(self._unix_ms()))
        return _told(await self._report(class_name, plan, key, today, today))

    async def _report(
        self, class_name: str, plan: Plan, key: str | None, start: dt.date, end: dt.date
    ) -> usage.UsageReport:
        books = self._books(class_name)
        first = day_from(start) - LONGEST_PERIOD
        by_key = await books.by_key(class_name, plan.id, first, day_from(end) + 1)
        if key is not None:
            by_key = {key: by_key.get(key, {})}
        extras = await books.extras(class_name, plan, set(by_key))
        today = day_of(self._unix_ms())
        return usage.report(plan.id, by_key, plan.quota, extras, start, end, today)


class KeeperBooks:
    """Implements `Books` for classes whose store this operator is."""

    def __init__(self, keeper: Keeper, unix_ms: Callable[[], float]) -> None:
        self._keeper = keeper
        self._unix_ms = unix_ms

    async def by_key(
        self, class_name: str, plan: str, first: int, end: int
    ) -> Mapping[str, Mapping[int, int]]:
        """Key to day to requests."""
        return self._keeper.ledger(class_name).usage.by_key(plan, first, end)

    async def extras(self, class_name: str, plan: Plan, keys: set[str]) -> Mapping[str, int]:
        """What keys may do beyond the plan's quota in this period."""
        return self._keeper.extras(class_name, plan, self._unix_ms())

    async def extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        """Let a key do so many more in this period."""
        self._keeper.extend(class_name, plan, key, remaining, self._unix_ms())


class _Operation(msgspec.Struct, frozen=True):
    op: str
    path: str
    value: str | int


class _Patch(msgspec.Struct, frozen=True, rename="camel"):
    patch_operations: list[_Operation]


def _remaining(body: bytes) -> int | str:
    """What UpdateUsage asks for, or what is wrong with it."""
    try:
        patch = msgspec.json.decode(body, type=_Patch)
    except msgspec.MsgspecError as why:
        return f"Invalid request body: {why}"
    if len(patch.patch_operations) != 1:
        return "one operation, replace /remaining, is taken"
    operation = patch.patch_operations[0]
    if operation.op != "replace" or operation.path != "/remaining":
        return f"{operation.op} {operation.path} is not replace /remaining"
    text = str(operation.value)
    if not text.isascii() or not text.isdigit():
        return f"{text!r} is not a number of requests"
    return int(text)


def _told(report: usage.UsageReport) -> web.Response:
    return web.Response(body=msgspec.json.encode(report), content_type="application/json")


def _refusal(status: int, message: str) -> web.Response:
    body: dict[str, Any] = {"message": message}
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )
