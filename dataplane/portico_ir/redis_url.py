"""What `spec.store.redis.url` means: which servers, how they are reached, as whom.

Called by pods and by the operator, which each make a client of it. Promises: what is wrong with a
URL is told without the URL, which may hold a password.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from portico_ir.model import RedisStore
from portico_ir.secrets import Redacted

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_TLS: Final = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs"}
)


class BadUrl(ValueError):
    """It names no Redis; the message says why."""


class RedisAddress(NamedTuple):
    """Where a Redis is."""

    kind: Literal["single", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...]
    """Of the server, of Sentinels, or of some nodes of a Cluster."""
    service: str
    """What Sentinels call it."""
    database: int
    username: str | None
    password: Redacted | None
    tls: dict[str, str] | None
    """Options of redis-py (`ssl_ca_certs`, …); None: no TLS."""


def parse(store: RedisStore) -> RedisAddress:
    """The address; raises `BadUrl`."""
    try:
        url = urlsplit(store.url.reveal())
        username, password = url.username, url.password
        scheme, _, kind = url.scheme.partition("+")
        default = SENTINEL_PORT if kind == "sentinel" else PORT
        hosts = tuple(_host(part, default) for part in url.netloc.rpartition("@")[2].split(","))
    except ValueError:
        raise BadUrl("spec.store.redis.url is no URL with a host") from None
    if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
        raise BadUrl("spec.store.redis.url has another scheme than redis, rediss, …")
    path = [unquote(part) for part in url.path.split("/") if part]
    service = ""
    if kind == "sentinel":
        if not path:
            raise BadUrl("spec.store.redis.url names no service after its Sentinels")
        service = path.pop(0)
    if path and not path[0].isdecimal():
        raise BadUrl("spec.store.redis.url: the path is not the number of a database")
    own = Redacted(unquote(password)) if password else None
    return RedisAddress(
        kind="sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "single",
        hosts=hosts,
        service=service,
        database=int(path[0]) if path else 0,
        username=unquote(username) if username else None,
        password=store.password or own,
        tls=dict(_tls(url.query)) if scheme == "rediss" else None,
    )


def _tls(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in parse_qsl(query) if name in _TLS]


def _host(text: str, default: int) -> tuple[str, int]:
    parsed = urlsplit(f"//{text}")
    if not parsed.hostname:
        raise ValueError("a host is missing")
    return parsed.hostname, parsed.port or default
