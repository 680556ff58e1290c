"""Limits on the command line: the same options for a data plane and for `portico dev`.

Added to a parser by `settings.py` and by portico_cli; `docs/limits-and-errors.md` has the table,
the chart's `dataPlane.limits` the same names in camel case. Promises: each option fills one field
of `Settings`, whose default it has; wrong usage is one line, as argparse does it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from portico_dataplane.settings import Settings


def _whole(text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        kind = "positive whole number" if least else "whole number"
        raise argparse.ArgumentTypeError(f"{text!r} is not a {kind}")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1)


def count(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0)


def seconds(text: str) -> float:
    """A time, 0 included."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds (0 to 86400)")
    return value


def patience(text: str) -> float:
    """A time in which something may happen."""
    value = seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("0 seconds are no time at all")
    return value


class Limit(NamedTuple):
    """One option."""

    option: str
    field: str
    """Of `Settings`."""
    read: Callable[[str], int] | Callable[[str], float]
    help: str


LIMITS: Final = (
    Limit("--max-connections", "max_connections", positive, "client connections per worker"),
    Limit(
        "--max-connections-per-client",
        "max_connections_per_client",
        count,
        "of them, of one address (IPv6: /64), trusted proxies excepted; 0: any number",
    ),
    Limit("--max-in-flight", "max_in_flight", positive, "requests under way per worker"),
    Limit(
        "--overload-lag",
        "overload_lag_s",
        seconds,
        "new requests get 503 while the event loop is as late as that; 0: never",
    ),
    Limit("--head-timeout", "head_timeout_s", patience, "for a request's head"),
    Limit("--idle-timeout", "idle_timeout_s", patience, "for a connection without a request"),
    Limit("--body-timeout", "body_timeout_s", patience, "over which a request body's rate counts"),
    Limit(
        "--min-body-rate",
        "min_body_rate",
        count,
        "bytes/s of a request body; 0: one byte is enough",
    ),
    Limit("--write-timeout", "write_timeout_s", patience, "over which a reader's rate counts"),
    Limit(
        "--min-write-rate",
        "min_write_rate",
        count,
        "bytes/s a client must read; 0: one byte is enough",
    ),
    Limit(
        "--upstream-max-connections",
        "upstream_max_connections",
        positive,
        "connections to one address of a backend, per worker",
    ),
    Limit(
        "--upstream-max-waiting",
        "upstream_max_waiting",
        count,
        "requests that may wait for one of them",
    ),
    Limit(
        "--eject-after-errors",
        "eject_after_errors",
        count,
        "answers 5xx in a row, then one of several addresses rests; 0: never",
    ),
)


def add_limits(parser: argparse.ArgumentParser, default: Settings) -> None:
    """Every limit that can be set."""
    group = parser.add_argument_group("limits")
    for limit in LIMITS:
        value: int | float = getattr(default, limit.field)
        group.add_argument(
            limit.option,
            dest=limit.field,
            type=limit.read,
            default=value,
            metavar="SECONDS" if limit.field.endswith("_s") else "N",
            help=f"{limit.help} (default: {value:g})",
        )


def limits_of(given: argparse.Namespace) -> dict[str, float]:
    """What a command line says of them: fields of `Settings`."""
    return {limit.field: getattr(given, limit.field) for limit in LIMITS}
