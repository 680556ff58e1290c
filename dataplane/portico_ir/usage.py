"""Usage: how many requests each key made under each plan on each day.

Kept by stores. Read for quotas (a period is a run of days), by `portico usage`, by the operator's
endpoint and for the status of plans. The shape of a report is AWS's (AWS §7.4). Promises: days
older than `KEPT_DAYS` are forgotten; nothing else is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from portico_ir.access import Quota
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


class Usage:
    """Requests by plan, key and day."""

    def __init__(self) -> None:
        self._plans: dict[str, dict[str, dict[int, int]]] = {}
        self._oldest = 0

    def add(self, plan: str, key: str, day: int, requests: int) -> None:
        """So many more."""
        days = self._plans.setdefault(plan, {}).setdefault(key, {})
        days[day] = days.get(day, 0) + requests

    def of(self, plan: str, key: str, first: int, end: int) -> int:
        """From one day to another, which is not counted any more."""
        days = self._plans.get(plan, {}).get(key)
        if not days:
            return 0
        return sum(requests for day, requests in days.items() if first <= day < end)

    def days(self, plan: str) -> Mapping[str, Mapping[int, int]]:
        """Key to day to requests."""
        return self._plans.get(plan, {})

    def plans(self) -> Iterable[str]:
        """Plans that were used."""
        return self._plans.keys()

    def forget(self, today: int) -> None:
        """What is older than anybody may ask for."""
        oldest = today - KEPT_DAYS
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for plan, keys in list(self._plans.items()):
            for key, days in list(keys.items()):
                for day in [day for day in days if day < oldest]:
                    del days[day]
                if not days:
                    del keys[key]
            if not keys:
                del self._plans[plan]


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
