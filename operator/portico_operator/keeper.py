"""Keeper [pure]: leases, quotas and usage of every class, while this replica holds the Lease.

Driven by `keeping`, which loads and saves; asked by the stream server for each exchange of a pod,
and by the usage endpoint. Promises: nothing is granted by a replica that does not keep; what was
saved and what pods report again is counted once. Time comes in as Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from portico_ir.access import Plan
from portico_ir.leases import Exchange, Requests, Settlement
from portico_ir.ledger import Extension, Holder, Ledger
from portico_ir.periods import day_of, end_of, start_of
from portico_ir.usage import KEPT_DAYS


class SavedExtension(msgspec.Struct, frozen=True, array_like=True):
    """What a key may do beyond its quota, as it is saved."""

    plan: str
    key: str
    start: int
    requests: int


class Sheet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Usage of one class on one day, as it is saved."""

    class_name: str
    day: int
    usage: dict[str, dict[str, int]] = {}
    """Plan to key to requests."""
    holders: dict[str, int] = {}
    """Of the latest day: the last exchange of every pod that is counted."""
    extensions: tuple[SavedExtension, ...] = ()
    """Of the latest day."""


class Summary(NamedTuple):
    """What the status of a plan says."""

    requests: int
    """In the present period; of a plan without a quota, today."""
    today: int
    keys: int
    """That made them."""
    starts: int
    """First day of the period."""
    ends: int
    """First day of the next one."""


class Keeper:
    """Every class."""

    def __init__(self) -> None:
        self.term = -1
        """Of the election that made this replica the keeper; -1: it does not keep."""
        self._ledgers: dict[str, Ledger] = {}
        self._plans: dict[str, Mapping[str, Plan]] = {}
        self._unsaved: dict[str, set[int]] = {}

    # --- what this replica is -----------------------------------------------------------------

    def begin(self, term: int, sheets: Iterable[Sheet], now: float) -> None:
        """Keep from now on, beginning with what was saved."""
        self._ledgers, self._unsaved = {}, {}
        for sheet in sorted(sheets, key=lambda sheet: sheet.day):
            ledger = self.ledger(sheet.class_name)
            for plan, keys in sheet.usage.items():
                for key, requests in keys.items():
                    ledger.usage.add(plan, key, sheet.day, requests)
            if sheet.holders or sheet.extensions:
                ledger.holders = {
                    name: Holder(0, now, serial) for name, serial in sheet.holders.items()
                }
                ledger.durable = dict(sheet.holders)
                ledger.extensions = {
                    (each.plan, each.key): Extension(each.start, each.requests)
                    for each in sheet.extensions
                }
        self.term = term

    def end(self) -> None:
        """Another replica keeps."""
        self.term = -1
        self._ledgers, self._unsaved = {}, {}

    def set_plans(self, class_name: str, plans: Iterable[Plan]) -> None:
        """What the class's data plane is told of plans."""
        self._plans[class_name] = {plan.id: plan for plan in plans}
        self.ledger(class_name).declare(self._plans[class_name].values())

    # --- pods ---------------------------------------------------------------------------------

    def settle(
        self, class_name: str, pod_uid: str, exchange: Exchange, now: float
    ) -> Settlement | None:
        """Count what a pod reports, and give it what it may have; None: ask somebody else."""
        if self.term < 0:
            return None
        # A pod speaks for itself only: what it calls itself is a name among its own.
        own = msgspec.structs.replace(exchange, holder=f"{pod_uid}/{exchange.holder}")
        if exchange.usage:
            days = self._unsaved.setdefault(class_name, set())
            days.update(use.day for use in exchange.usage)
        return self.ledger(class_name).settle(own, now)

    def ledger(self, class_name: str) -> Ledger:
        """Of one class."""
        found = self._ledgers.get(class_name)
        if found is None:
            found = self._ledgers[class_name] = Ledger()
            found.declare(self._plans.get(class_name, {}).values())
        return found

    # --- saving -------------------------------------------------------------------------------

    def unsaved(self, now: float) -> list[Sheet]:
        """What has changed since it was saved last, older days first; the latest day of a class
        says up to where its pods are counted, so it comes last."""
        today = day_of(now)
        sheets: list[Sheet] = []
        for class_name, days in self._unsaved.items():
            ledger = self.ledger(class_name)
            wanted = {day for day in days if today - KEPT_DAYS < day < today}
            sheets += [self._sheet(class_name, ledger, day) for day in sorted(wanted)]
            latest = self._sheet(class_name, ledger, today)
            sheets.append(
                msgspec.structs.replace(
                    latest,
                    holders={name: holder.serial for name, holder in ledger.holders.items()},
                    extensions=tuple(
                        SavedExtension(plan, key, extension.start, extension.requests)
                        for (plan, key), extension in ledger.extensions.items()
                    ),
                )
            )
        self._unsaved = {}
        return sheets

    def saved(self, sheets: Iterable[Sheet]) -> None:
        """They are kept elsewhere: pods need not remember what is in them."""
        for sheet in sheets:
            if sheet.holders and sheet.class_name in self._ledgers:
                self._ledgers[sheet.class_name].durable = dict(sheet.holders)

    def not_saved(self, sheets: Iterable[Sheet]) -> None:
        """They are not: try again the next time."""
        for sheet in sheets:
            self._unsaved.setdefault(sheet.class_name, set()).add(sheet.day)

    def _sheet(self, class_name: str, ledger: Ledger, day: int) -> Sheet:
        return Sheet(class_name=class_name, day=day, usage=ledger.usage.on(day))

    # --- people -------------------------------------------------------------------------------

    def plan(self, plan_id: str) -> tuple[str, Plan] | None:
        """A plan by its id, and the class whose data plane has it."""
        for class_name, plans in self._plans.items():
            if plan_id in plans:
                return class_name, plans[plan_id]
        return None

    def plans(self, class_name: str) -> tuple[Plan, ...]:
        """Those of a class."""
        return tuple(self._plans.get(class_name, {}).values())

    def extend(self, class_name: str, plan: Plan, key: str, remaining: int, now: float) -> None:
        """UpdateUsage: let a key do so many more in this period."""
        assert plan.quota is not None
        quota = plan.quota
        limit = Requests(plan.id, key, quota.limit, quota.period, quota.offset)
        self.ledger(class_name).extend(limit, remaining, now)
        self._unsaved.setdefault(class_name, set()).add(day_of(now))

    def summaries(self, now: float) -> dict[str, Summary]:
        """By `namespace/name` of the plan."""
        today = day_of(now)
        found: dict[str, Summary] = {}
        for class_name, plans in self._plans.items():
            usage = self.ledger(class_name).usage
            for plan in plans.values():
                quota = plan.quota
                start, end = today, today + 1
                if quota is not None:
                    start = start_of(quota.period, quota.offset, today)
                    end = end_of(quota.period, quota.offset, start)
                found[plan.name] = Summary(
                    requests=usage.total(plan.id, start, end),
                    today=usage.total(plan.id, today, today + 1),
                    keys=len(usage.by_key(plan.id, start, end)),
                    starts=start,
                    ends=end,
                )
        return found
