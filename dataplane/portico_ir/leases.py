"""The lease protocol (design.md §7) as data: what a holder asks, what it is granted.

One protocol on two hops, worker ← pod and pod ← store, so that tokens are counted the same way on
each. Within a pod asks and grants travel over the workers' channel; between a pod and its store
they travel in an `Exchange` and a `Settlement`: over the configuration stream, or as the argument
and result of a script in Redis. Durations are milliseconds and nobody compares clocks; the one
date in here, `Settlement.now_ms`, is the store's, so that every pod counts in the store's day.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class _Item(msgspec.Struct, frozen=True, array_like=True):
    """Travels without names: there are many of them. New fields go to the end, with a default."""


class Tokens(_Item, frozen=True, tag="tokens"):
    """A token bucket: `rate` a second, at most `burst` at once (AWS §3.18)."""

    rate: float
    burst: float


class Requests(_Item, frozen=True, tag="requests"):
    """Requests of one key of one plan (AWS §7.2); counted also where there is no limit."""

    plan: str
    key: str
    limit: int = -1
    """In a period; -1: as many as it likes."""
    period: Literal["DAY", "WEEK", "MONTH"] = "DAY"
    offset: int = 0


Limit = Tokens | Requests


class Ask(_Item, frozen=True):
    """What a holder did with a counter since it last asked, and what it would like."""

    id: str
    """Of the counter; survives a compile."""
    limit: Limit
    """As the holder's configuration has it."""
    spent: float = 0.0
    """Tokens, since the last ask."""
    held: float = 0.0
    """What the holder keeps; whatever else it had is given back."""
    demand: float = 0.0
    """Tokens a second that it sees asked for, refused ones included."""
    want: float = 0.0
    """How many it would like beyond `held`."""
    period: int = 0
    """First day of the period that `held` belongs to; 0 for buckets."""
    waiting: int = 0
    """Requests that wait for a token."""
    rate: float = 0.0
    """Of the bucket's, with which it fills up by itself: a store that has lost it goes on so."""


class Grant(_Item, frozen=True):
    """What a holder may do from now on."""

    id: str
    tokens: float = 0.0
    """Besides what it kept."""
    rate: float = 0.0
    """Its share of the bucket's rate: it may go on filling up by itself."""
    cap: float = 0.0
    """How far."""
    credit: float = 0.0
    """Its share of that, by demand: it may overdraw so much when it cannot ask in time."""
    more: bool = False
    """Asking again may help at once."""
    recheck_ms: float = 0.0
    """Otherwise it may not help sooner than this."""
    period: int = 0
    """First day of the period that all of this belongs to."""
    ends_ms: float = 0.0
    """When that period ends, from now; 0: never."""
    left: float = 0.0
    """With whoever grants, for everybody."""
    sole: bool = False
    """There is no other holder, and never will be: nobody waits for what this one keeps."""


class Use(_Item, frozen=True):
    """Requests that a key made on one day under one plan."""

    plan: str
    key: str
    day: int
    """Days since 1970-01-01, UTC."""
    requests: int


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From a pod to its store. One is on its way at a time, and is repeated as it is until it has
    been answered; what is counted in it is counted once."""

    holder: str
    """A name nobody had before: a pod that starts again is another one."""
    serial: int
    """1, 2, 3, …"""
    acknowledged: int = 0
    """The last one that was answered."""
    leaves: int = 1
    """Workers of the pod."""
    asks: tuple[Ask, ...] = ()
    usage: tuple[Use, ...] = ()


class Settlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer."""

    serial: int
    """Of the exchange."""
    known: int = 0
    """The last one of this holder that had been counted before; less than it believes when the
    store has lost something."""
    durable: int = 0
    """Exchanges up to here survive the store."""
    now_ms: float = 0.0
    """The store's Unix time."""
    leaves: int = 1
    """Workers of all pods."""
    grants: tuple[Grant, ...] = ()
