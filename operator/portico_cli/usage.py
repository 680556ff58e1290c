"""`portico usage PLAN`: who used how much of a plan, by key and day, and more of it for a key.

Called by `main`. The answer is AWS's GetUsage, `--remaining` its UpdateUsage (AWS §7.4). Promises:
exit code 0, 1 when it could not be had, with the reason; what is told is what whoever keeps usage
has said, of this moment.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from portico_cli.render import Printer
from portico_cli.usage_arguments import Named, wrong
from portico_compiler.passes.apis import identity
from portico_compiler.passes.extensions import key_id
from portico_compiler.problems import ObjectRef
from portico_ir import usage

_USUAL_DAYS = 30
_REFUSALS = (400, 503)
_HEAD = ("KEY", "ID", "DAY", "USED", "REMAINING")


class UsageFault(Exception):
    """It cannot be told; the message says why and what to do."""


class Told(NamedTuple):
    """An answer."""

    status: int
    body: Any


class Keeper(Protocol):
    """Whoever keeps usage, as it can be asked from here."""

    namespace: str
    """Of what is named without one."""

    def check(self, plan: ObjectRef, key: ObjectRef | None) -> None:
        """UsageFault for what is not there, as far as one may look."""
        ...

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Told:
        """UsageFault when nobody can be asked."""
        ...

    def names(self) -> Mapping[str, str]:
        """Key id to `namespace/name`, as far as it is known."""
        ...


def run(options: argparse.Namespace) -> int:
    """The command."""
    fault = wrong(options)
    if fault:
        options.usage_error(fault)
    between = _between(options.start, options.end)
    printer = Printer(sys.stderr)
    try:
        _run(options, _keeper(options), between)
    except UsageFault as why:
        printer.line(str(why), "red")
        return 1
    return 0


def _run(options: argparse.Namespace, keeper: Keeper, between: dict[str, str]) -> None:
    own = options.namespace or keeper.namespace
    plan = _ref("UsagePlan", options.plan, own)
    # A key of another namespace says so; others are where the plan is.
    key = _ref("ApiKey", options.key, plan.namespace) if options.key is not None else None
    keeper.check(plan, key)
    plan_id = identity("/".join((plan.namespace, plan.kind, plan.name)))
    known = key_id(key, options.key.entry) if key is not None else ""
    if options.remaining is not None:
        operation = {"op": "replace", "path": "/remaining", "value": str(options.remaining)}
        path = f"/usageplans/{plan_id}/keys/{known}/usage"
        told = keeper.ask("PATCH", path, {"patchOperations": [operation]})
    else:
        query = {**between, **({"keyId": known} if known else {})}
        suffix = f"?{urlencode(query)}" if query else ""
        told = keeper.ask("GET", f"/usageplans/{plan_id}/usage{suffix}")
    report = _report(told, plan, key)
    named = {known: _shown(options.key, key)} if key is not None else {}
    _show(options.format, report, {} if options.format != "text" else {**keeper.names(), **named})


def _keeper(options: argparse.Namespace) -> Keeper:
    if options.admin_port is not None:
        from portico_cli.usage_dev import DevKeeper

        return DevKeeper(options.admin_port)
    from portico_cli.usage_cluster import ClusterKeeper

    return ClusterKeeper(options.kubeconfig, options.context, options.operator_namespace)


def _between(start: dt.date | None, end: dt.date | None) -> dict[str, str]:
    """What GetUsage takes; what nobody says is left to whoever answers, whose day it is."""
    if end is not None and start is None:
        start = end - dt.timedelta(days=_USUAL_DAYS - 1)
    named = {"startDate": start, "endDate": end}
    return {name: day.isoformat() for name, day in named.items() if day is not None}


def _ref(kind: str, named: Named, own: str) -> ObjectRef:
    return ObjectRef(kind, named.namespace or own, named.name)


def _shown(named: Named, key: ObjectRef) -> str:
    name = f"{key.namespace}/{key.name}"
    return f"{name}[{named.entry}]" if named.entry else name


def _report(told: Told, plan: ObjectRef, key: ObjectRef | None) -> usage.UsageReport:
    said = told.body.get("message", "") if isinstance(told.body, dict) else ""
    if told.status == 404 and "API Key" in said:
        raise UsageFault(
            f"{key} is not in {plan}, or is switched off, and has made no request under it"
        )
    if told.status == 404:
        raise UsageFault(
            f"{plan} is unknown to whoever keeps usage: it opens no stage (see its conditions), or"
            " has only just been made"
        )
    if told.status in _REFUSALS and said:
        raise UsageFault(said)
    if told.status != 200:
        raise UsageFault(f"what answers there is not the usage of plans (status {told.status})")
    try:
        return usage.read(told.body)
    except ValueError as why:
        raise UsageFault(f"what answers there is not the usage of plans: {why}") from why


def _show(output: str, report: usage.UsageReport, names: Mapping[str, str]) -> None:
    printer = Printer()
    if output == "json":
        printer.json(_document(report))
        return
    if output == "yaml":
        import yaml

        text = yaml.safe_dump(_document(report), sort_keys=False, default_flow_style=None)
        printer.stream.write(text)
        return
    rows = _rows(report, names)
    if not rows:
        Printer(sys.stderr).line(f"no requests from {report.start_date} to {report.end_date}")
        return
    printer.table(_HEAD, rows)


def _document(report: usage.UsageReport) -> Any:
    return json.loads(usage.encode(report))


def _rows(report: usage.UsageReport, names: Mapping[str, str]) -> list[list[str]]:
    """A row for each day with requests, and for the last day: what is left now."""
    start = dt.date.fromisoformat(report.start_date)
    rows: list[list[str]] = []
    named = {key: names.get(key, "") for key in report.items}
    for key in sorted(report.items, key=lambda key: (named[key], key)):
        days = report.items[key]
        for number, (used, remaining) in enumerate(days):
            if used or number == len(days) - 1:
                day = (start + dt.timedelta(days=number)).isoformat()
                left = "unlimited" if remaining < 0 else str(remaining)
                rows.append([named[key] or "<unknown>", key, day, str(used), left])
    return rows
