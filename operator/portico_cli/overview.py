"""What `portico dev` shows of a configuration: routes, conditions, a curl line, differences.

Called by `dev` after each load. Promises: the first time everything, in tables as kubectl
prints them; after a change only what differs, so that a long session stays readable.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from portico_cli.backends import FILE_NAME
from portico_cli.configuration import Configuration
from portico_cli.render import Printer, count, shown
from portico_compiler import Condition, ObjectRef, RouteRow
from portico_compiler.problems import ConditionType, Severity

MOST_ROWS: Final = 200
"""Of one table; the rest is counted. Nobody reads thousands of lines in a terminal."""
_ROUTES: Final = ("ROUTE", "KEY", "URL", "TARGET", "SERVES")
_CONDITIONS: Final = ("NAME", "ACCEPTED", "RESOLVEDREFS", "PROGRAMMED", "MESSAGE")
_VARIABLE = re.compile(r"\{[^{}]*\}")

RouteName = tuple[ObjectRef, str, str]


class State(NamedTuple):
    """What was shown last, to compare with."""

    routes: dict[RouteName, RouteRow]
    conditions: dict[ObjectRef, tuple[str, ...]]
    unreachable: tuple[str, ...] = ()
    """Services that routes name and that have no address: `namespace/name:port`."""


def state_of(configuration: Configuration, refused: dict[str, str]) -> State:
    """What there is to show of a configuration that serves."""
    report = configuration.compiled.report
    routes = {(row.api, row.stage, row.key): row for row in report.routes}
    idle = configuration.compiled.deployments.not_deployed()
    conditions = {
        ref: _cells(ref, found, refused, idle.get(ref, ""))
        for ref, found in report.conditions.items()
    }
    upstreams = configuration.compiled.snapshot.endpoints.upstreams
    unreachable = tuple(sorted(name for name, endpoints in upstreams.items() if not endpoints))
    return State(routes, conditions, unreachable)


def _cells(
    ref: ObjectRef, conditions: Sequence[Condition], refused: dict[str, str], idle: str
) -> tuple[str, ...]:
    by_type = {condition.type: condition for condition in conditions}
    accepted = by_type.get(ConditionType.ACCEPTED)
    resolved = by_type.get(ConditionType.RESOLVED_REFS)
    messages = [f"{c.reason}: {c.message}" for c in conditions if c.status != "True" and c.message]
    unit = f"/{ref.namespace}/{ref.kind}/{ref.name}"
    if ref.kind == "DomainName":
        unit = f"domain/{ref.namespace}/{ref.name}"
    reasons = [reason for name, reason in refused.items() if unit in f"{name}/"]
    programmed = "False" if reasons or idle else "True"
    if idle and not any(idle in message for message in messages):
        messages.append(f"NotDeployed: {idle}")
    if accepted is not None and accepted.status != "True":
        programmed = "False"
    return (
        f"{ref.kind.lower()}.portico.dev/{ref.name}",
        accepted.status if accepted else "",
        resolved.status if resolved else "",
        programmed,
        "; ".join([*messages, *reasons]),
    )


def everything(printer: Printer, state: State) -> None:
    """The route table and the conditions."""
    if state.routes:
        _table(printer, _ROUTES, [_route_cells(row) for row in state.routes.values()], "route")
        printer.line()
    if state.conditions:
        _table(printer, _CONDITIONS, list(state.conditions.values()), "object")
        printer.line()
    _hint(printer, state.unreachable)


def _table(printer: Printer, head: Sequence[str], rows: list[tuple[str, ...]], noun: str) -> None:
    printer.table(head, rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        printer.line(f"… and {count(len(rows) - MOST_ROWS, f'more {noun}')}", "dim")


def _hint(printer: Printer, unreachable: Iterable[str]) -> None:
    """A Service without pods is nobody's mistake, but a developer wants to know."""
    for upstream in unreachable:
        name = upstream.rpartition(":")[0]
        text = (
            f"{upstream} has no address here, so its routes answer 503: add {name} to {FILE_NAME}"
        )
        printer.line(f"hint: {text}", "yellow")


def _route_cells(row: RouteRow) -> tuple[str, ...]:
    name = f"{row.route.namespace}/{row.route.name}" if row.route.name else ""
    return (name, row.key, row.url, row.target, "True" if row.accepted else "False")


def differences(printer: Printer, before: State, now: State) -> int:
    """Only what is not as it was; returns how much that is."""
    lines: list[tuple[str, str]] = []
    for name, row in now.routes.items():
        earlier = before.routes.get(name)
        if earlier is None:
            lines.append((f"+ {_route_line(row)}", "green"))
        elif earlier != row:
            lines.append((f"~ {_route_line(row)}", "yellow"))
    lines += [
        (f"- {_route_line(row)}", "red")
        for name, row in before.routes.items()
        if name not in now.routes
    ]
    lines += list(_condition_differences(before, now))
    for text, colour in lines[:MOST_ROWS]:
        printer.line(shown(text), colour)
    if len(lines) > MOST_ROWS:
        printer.line(f"… and {count(len(lines) - MOST_ROWS, 'more difference')}", "dim")
    _hint(printer, sorted(set(now.unreachable) - set(before.unreachable)))
    return len(lines)


def _route_line(row: RouteRow) -> str:
    outcome = row.target if row.accepted else f"500: {row.message or 'broken'}"
    return f"{row.key}  {row.url} → {outcome}"


def _condition_differences(before: State, now: State) -> Iterable[tuple[str, str]]:
    for ref, cells in now.conditions.items():
        earlier = before.conditions.get(ref)
        if earlier == cells:
            continue
        name, *statuses, message = cells
        values = zip(_CONDITIONS[1:4], statuses, strict=True)
        text = " ".join(f"{kind}={status}" for kind, status in values if status)
        good = "False" not in statuses
        if earlier is None and good:
            continue  # a new object that is well: its routes say so
        yield f"~ {name} {text} {message}".rstrip(), "green" if good else "red"


def curl_line(configuration: Configuration, port: int) -> str:
    """A command that works: the eldest GET route that serves, without variables if there is."""
    report = configuration.compiled.report
    age = {o.ref: o.created for o in configuration.world.objects}
    rows = [row for row in report.routes if row.accepted]

    def rank(row: RouteRow) -> tuple[bool, bool, str]:
        return not row.key.startswith("GET "), "{" in row.key, age.get(row.route, "")

    if not rows:
        return ""
    row = min(rows, key=rank)
    method, space, path = row.key.partition(" ")
    url = row.url
    if len(configuration.apis) == 1 and row.stage == "$default":
        # With one API any host reaches it.
        url = f"http://localhost:{port}{path if space else '/'}"
    url = _VARIABLE.sub("1", url)
    words = ["curl"]
    if space and method not in ("GET", "ANY"):
        words += ["-X", method]
    if "localhost" not in url.partition("//")[2].partition("/")[0]:
        words += ["--connect-to", f"::127.0.0.1:{port}"]
    return shlex.join([*words, url])


def summary(configuration: Configuration) -> str:
    """One line about how much there is."""
    report = configuration.compiled.report
    warnings = sum(p.severity is Severity.WARNING for p in configuration.problems)
    parts = [
        count(len(configuration.apis), "API"),
        count(len(report.routes), "route"),
        count(len(configuration.errors), "problem"),
    ]
    if warnings:
        parts.append(count(warnings, "warning"))
    return ", ".join(parts)
