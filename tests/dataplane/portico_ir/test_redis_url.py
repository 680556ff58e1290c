"""spec.store.redis.url: what each form means, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from portico_ir.model import RedisStore
from portico_ir.redis_url import BadUrl, RedisAddress, parse
from portico_ir.secrets import Redacted


def of(url: str, password: str | None = None) -> RedisAddress:
    secret = Redacted(password) if password is not None else None
    return parse(RedisStore(url=Redacted(url), password=secret))


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "service", "database", "tls"),
    [
        ("redis://r", "single", [("r", 6379)], "", 0, None),
        ("redis://r:6380/3", "single", [("r", 6380)], "", 3, None),
        ("redis://[::1]:6380", "single", [("::1", 6380)], "", 0, None),
        ("rediss://r", "single", [("r", 6379)], "", 0, {}),
        (
            "rediss://r?ssl_ca_certs=/ca&db=9",
            "single",
            [("r", 6379)],
            "",
            0,
            {"ssl_ca_certs": "/ca"},
        ),
        ("redis://r?ssl_ca_certs=/ca", "single", [("r", 6379)], "", 0, None),
        ("redis+sentinel://a,b:1/main", "sentinel", [("a", 26379), ("b", 1)], "main", 0, None),
        ("rediss+sentinel://a/main/2", "sentinel", [("a", 26379)], "main", 2, {}),
        ("redis+cluster://a:7000,b:7001", "cluster", [("a", 7000), ("b", 7001)], "", 0, None),
    ],
)
def test_what_it_means(
    url: str,
    kind: str,
    hosts: list[tuple[str, int]],
    service: str,
    database: int,
    tls: dict[str, str] | None,
) -> None:
    found = of(url)
    assert (found.kind, list(found.hosts), found.service) == (kind, hosts, service)
    assert (found.database, found.tls) == (database, tls)
    assert (found.username, found.password) == (None, None)


def test_who_asks() -> None:
    found = of("redis://me:p%40ss@r")
    assert found.username == "me"
    assert found.password is not None
    assert found.password.reveal() == "p@ss"
    # What a Secret says counts before what stands in the URL.
    other = of("redis://me:old@r", "new").password
    assert other is not None
    assert other.reveal() == "new"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://r", "another scheme"),
        ("redis+x://r", "another scheme"),
        ("redis://", "no URL with a host"),
        ("redis://r:port", "no URL with a host"),
        ("redis://:secret@", "no URL with a host"),
        ("redis+sentinel://r", "names no service"),
        ("redis://r/main", "not the number of a database"),
    ],
)
def test_what_means_nothing(url: str, why: str) -> None:
    with pytest.raises(BadUrl, match=why) as caught:
        of(url, "hush")
    assert "secret" not in str(caught.value)
    assert "hush" not in str(caught.value)
