"""The command line of `portico usage`.

Called by `main` when it makes its parser; imports nothing that takes time.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from typing import NamedTuple

from portico_cli.keys_arguments import Name, add_cluster

_ENTRY = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<entry>[-._A-Za-z0-9]+)\])?")


class Named(NamedTuple):
    """An object as people name it: `name`, `namespace/name`, of a key also `name[entry]`."""

    namespace: str | None
    name: str
    entry: str | None = None


def add_usage(command: argparse.ArgumentParser, name: Name) -> None:
    """PLAN and everything about it."""

    def plan(text: str) -> Named:
        namespace, slash, rest = text.rpartition("/")
        return Named(name(namespace) if slash else None, name(rest))

    def key(text: str) -> Named:
        found = _ENTRY.fullmatch(text)
        if found is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not a key: name, or name[entry]")
        return plan(found["name"])._replace(entry=found["entry"])

    add = command.add_argument
    add("plan", metavar="PLAN", type=plan, help="a UsagePlan, as name or namespace/name")
    add("--key", metavar="KEY", type=key, help="an ApiKey; name[entry] where it has several values")
    add("--from", dest="start", metavar="DAY", type=_date, help="default: 30 days in all")
    add("--to", dest="end", metavar="DAY", type=_date, help="such as 2026-11-30; default: today")
    add(
        "--remaining",
        metavar="N",
        type=_requests,
        help="let the key do N more requests in this period, whatever it has done",
    )
    add("-o", "--output", dest="format", choices=("text", "json", "yaml"), default="text")
    add("-n", "--namespace", help="of PLAN; default: that of the context; default with dev")
    add(
        "--admin-port",
        type=int,
        metavar="PORT",
        help="ask the `portico dev` of this machine, instead of a cluster",
    )
    add("--operator-namespace", metavar="NAMESPACE", help="where to look for the operator")
    add_cluster(command)


def wrong(options: argparse.Namespace) -> str:
    """What does not go together; empty: nothing."""
    if options.remaining is not None and options.key is None:
        return "--remaining is of one key: say --key"
    if options.remaining is not None and (options.start or options.end):
        return "--remaining is about the present period: it goes without --from and --to"
    if options.start and options.end and options.end < options.start:
        return f"--to {options.end} is before --from {options.start}"
    if options.admin_port is not None and not 0 < options.admin_port < 65_536:
        return f"--admin-port {options.admin_port} is not a port (1 to 65535)"
    return ""


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-11-01") from None


def _requests(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests")
    return int(text)
