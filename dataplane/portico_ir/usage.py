"""Usage: how many requests each key made under each plan on each day.

Kept by stores. Read for quotas (a period is a run of days), by `portico usage`, by the operator's
endpoint and for the status of plans. The shape of a report is AWS's (AWS §7.4). Promises: days
older than `KEPT_DAYS` are forgotten; nothing else is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

import msgspec

from portico_ir.access import Plan, Quota
from portico_ir.periods import date_of, day_from, end_of, start_of

KEPT_DAYS: Final = 90
"""As long as AWS answers for."""


class UsageReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer of GetUsage."""

    usage_plan_id: str
    start_date: str
    end_date: str
    items: dict[str, list[list[int]]]
    """Key id to [used, remaining] of each day from the first to the last; remaining is -1 under a
    plan without a quota."""


def encode(report: UsageReport) -> bytes:
    """As JSON."""
    return msgspec.json.encode(report)


def read(document: object) -> UsageReport:
    """A report that came as JSON; ValueError when it is none."""
    return msgspec.convert(document, UsageReport)


class Usage:
    """Requests by plan, day and key."""

    def __init__(self) -> None:
        self._plans: dict[str, dict[int, dict[str, int]]] = {}
        self._oldest = 0

    def add(self, plan: str, key: str, day: int, requests: int) -> None:
        """So many more."""
        keys = self._plans.setdefault(plan, {}).setdefault(day, {})
        keys[key] = keys.get(key, 0) + requests

    def of(self, plan: str, key: str, first: int, end: int) -> int:
        """From one day to another, which is not counted any more."""
        days = self._plans.get(plan)
        if not days:
            return 0
        return sum(days[day].get(key, 0) for day in range(first, end) if day in days)

    def on(self, day: int) -> dict[str, dict[str, int]]:
        """Plan to key to requests of one day."""
        return {plan: dict(days[day]) for plan, days in self._plans.items() if day in days}

    def by_key(self, plan: str, first: int, end: int) -> dict[str, dict[int, int]]:
        """Key to day to requests, from one day to another, which is not among them."""
        found: dict[str, dict[int, int]] = {}
        for day, keys in self._plans.get(plan, {}).items():
            if first <= day < end:
                for key, requests in keys.items():
                    found.setdefault(key, {})[day] = requests
        return found

    def total(self, plan: str, first: int, end: int) -> int:
        """Of all keys."""
        days = self._plans.get(plan, {})
        return sum(sum(keys.values()) for day, keys in days.items() if first <= day < end)

    def forget(self, today: int) -> None:
        """What is older than anybody may ask for."""
        oldest = today - KEPT_DAYS
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for plan, days in list(self._plans.items()):
            for day in [day for day in days if day < oldest]:
                del days[day]
            if not days:
                del self._plans[plan]


def declared(plan: Plan, key: str, start: int) -> int:
    """What the plan itself lets a key do beyond the quota, in the period that begins then."""
    days = plan.extensions.get(key)
    quota = plan.quota
    if not days or quota is None:
        return 0
    return sum(
        requests for day, requests in days if start_of(quota.period, quota.offset, day) == start
    )


def report(
    plan: str,
    by_key: Mapping[str, Mapping[int, int]],
    quota: Quota | None,
    extra: Mapping[str, int],
    start: dt.date,
    end: dt.date,
    today: int,
) -> UsageReport:
    """Usage of each day from `start` to `end`. `extra`: what the current period of a key has
    beyond the plan's quota (UpdateUsage)."""
    first, last = day_from(start), day_from(end)
    return UsageReport(
        usage_plan_id=plan,
        start_date=start.isoformat(),
        end_date=end.isoformat(),
        items={
            key: [
                [days.get(day, 0), _remaining(days, quota, extra.get(key, 0), day, today)]
                for day in range(first, last + 1)
            ]
            for key, days in sorted(by_key.items())
        },
    )


def _remaining(days: Mapping[int, int], quota: Quota | None, extra: int, day: int, now: int) -> int:
    """What was left of the period at the end of a day."""
    if quota is None:
        return -1
    begin = start_of(quota.period, quota.offset, day)
    used = sum(requests for at, requests in days.items() if begin <= at <= day)
    is_current = begin <= now < end_of(quota.period, quota.offset, begin)
    return max(0, quota.limit + (extra if is_current else 0) - used)


def dates(start: str, end: str) -> tuple[dt.date, dt.date] | str:
    """Two dates as GetUsage takes them (YYYY-MM-DD), or what is wrong with them."""
    try:
        first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    except ValueError:
        return f"startDate {start!r} and endDate {end!r} must be dates such as {date_of(20_000)}"
    if last < first:
        return f"endDate {end} is before startDate {start}"
    if (last - first).days >= KEPT_DAYS:
        return f"from {start} to {end} is more than {KEPT_DAYS} days"
    return first, last
