"""Who used how much of which plan, for people and the command line, as AWS tells it.

`UsageServer` is started by `app` on loopback only: who may open a port of the pod (`kubectl
port-forward`) may ask. `UsageDesk` answers, there and at the admin port of `portico dev`.
`GET /usageplans/{id}/usage` is AWS's GetUsage, `PATCH /usageplans/{id}/keys/{key}/usage` its
UpdateUsage (AWS §7.4). Promises: a replica that does not keep says who does instead of guessing; a
wrong question is answered with what is wrong; a quota that was extended stays so.
"""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from aiohttp import web

from portico_ir import usage
from portico_ir.access import Plan
from portico_ir.ledger import LONGEST_PERIOD, Ledger
from portico_ir.periods import date_of, day_from, day_of

USUAL_DAYS: Final = 30
"""What is told when nobody says from when to when."""
UNKNOWN_KEY: Final = "Invalid API Key identifier specified"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        """Let a key do so many more in this period; `Unreachable` when that may not last."""
        ...


class Unreachable(Exception):
    """The store cannot be asked; the message says why."""


class Kept(NamedTuple):
    """A plan of which usage is kept here."""

    class_name: str
    plan: Plan
    books: Books


class Source(Protocol):
    """What a desk knows of."""

    def elsewhere(self) -> str:
        """Why usage is to be asked for elsewhere; empty: it is kept here."""
        ...

    def find(self, plan_id: str) -> Kept | None:
        """A plan; None: there is none."""
        ...

    async def holds(self, kept: Kept, key: str) -> bool:
        """Whether the plan has this key."""
        ...


class UsageDesk:
    """Two paths."""

    def __init__(
        self, source: Source, unix_ms: Callable[[], float] = lambda: time.time() * 1000
    ) -> None:
        self._source = source
        self._unix_ms = unix_ms

    def add_to(self, app: web.Application, guard: Callable[[Handler], Handler]) -> None:
        """Answer in this application, whom `guard` lets through."""
        get, update = self._answered(self._get), self._answered(self._update)
        app.router.add_get("/usageplans/{plan}/usage", guard(get))
        app.router.add_patch("/usageplans/{plan}/keys/{key}/usage", guard(update))

    def _answered(
        self, handle: Callable[[web.Request, Kept], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.Response:
            elsewhere = self._source.elsewhere()
            if elsewhere:
                return _refusal(503, elsewhere)
            found = self._source.find(request.match_info["plan"])
            if found is None:
                return _refusal(404, "Invalid Usage Plan ID specified")
            try:
                return await handle(request, found)
            except Unreachable as why:
                return _refusal(503, str(why))

        return answer

    async def _get(self, request: web.Request, kept: Kept) -> web.Response:
        today = day_of(self._unix_ms())
        between = usage.dates(
            request.query.get("startDate", date_of(today - USUAL_DAYS + 1).isoformat()),
            request.query.get("endDate", date_of(today).isoformat()),
        )
        if isinstance(between, str):
            return _refusal(400, between)
        return await self._report(kept, request.query.get("keyId"), *between)

    async def _update(self, request: web.Request, kept: Kept) -> web.Response:
        remaining = _remaining(await request.read())
        if isinstance(remaining, str):
            return _refusal(400, remaining)
        if kept.plan.quota is None:
            return _refusal(400, "the usage plan has no quota")
        key = request.match_info["key"]
        today = date_of(day_of(self._unix_ms()))
        if not await self._source.holds(kept, key):
            return _refusal(404, UNKNOWN_KEY)
        await kept.books.extend(kept.class_name, kept.plan, key, remaining)
        return await self._report(kept, key, today, today)

    async def _report(
        self, kept: Kept, key: str | None, start: dt.date, end: dt.date
    ) -> web.Response:
        class_name, plan, books = kept
        # The quota of the first day asked for may have begun long before.
        first = day_from(start) - LONGEST_PERIOD
        by_key = await books.by_key(class_name, plan.id, first, day_from(end) + 1)
        if key is not None:
            # A key that is switched off or gone has used what it has used.
            if key not in by_key and not await self._source.holds(kept, key):
                return _refusal(404, UNKNOWN_KEY)
            by_key = {key: by_key.get(key, {})}
        extras = await books.extras(class_name, plan, set(by_key))
        today = day_of(self._unix_ms())
        told = usage.report(plan.id, by_key, plan.quota, extras, start, end, today)
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")


class UsageServer:
    """A desk on a socket of its own."""

    def __init__(
        self, source: Source, unix_ms: Callable[[], float] = lambda: time.time() * 1000
    ) -> None:
        app = web.Application()
        UsageDesk(source, unix_ms).add_to(app, lambda handler: handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket that is bound."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


class LedgerBooks:
    """Implements `Books` over ledgers in this process."""

    def __init__(
        self,
        ledger: Callable[[str], Ledger],
        extend: Callable[[str, Plan, str, int], Awaitable[None]],
        unix_ms: Callable[[], float],
    ) -> None:
        """`ledger`: of a class; `extend` as `Books` has it."""
        self._ledger = ledger
        self._extend = extend
        self._unix_ms = unix_ms

    async def by_key(
        self, class_name: str, plan: str, first: int, end: int
    ) -> Mapping[str, Mapping[int, int]]:
        """Key to day to requests."""
        return self._ledger(class_name).usage.by_key(plan, first, end)

    async def extras(self, class_name: str, plan: Plan, keys: set[str]) -> Mapping[str, int]:
        """What keys may do beyond the plan's quota in this period."""
        return self._ledger(class_name).extras(plan, keys, self._unix_ms())

    async def extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        """Let a key do so many more in this period."""
        await self._extend(class_name, plan, key, remaining)


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
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        return f"{text[:40]!r} is not a number of requests"
    return int(text)


MOST_DIGITS: Final = 15
"""Redis counts in doubles, which are exact up to here."""


def _refusal(status: int, message: str) -> web.Response:
    body: dict[str, Any] = {"message": message}
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )
