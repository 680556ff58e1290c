"""The smuggling matrix: what arrives behind the real gateway of bytes that two readers may read as
two things, and what a client reads of answers that say more than they should.

Design.md §13. The tables are in tests/support (`smuggling_rows`, `smuggling_requests`,
`smuggling_answers`); the rows of tests/dataplane/rules, which say what each is answered, run here
too, in front of an nginx. Every row is one write with another request behind it, so that whoever
reads less or more than we do shows: in the answers, in what arrived, or in nginx's own log.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raw_http import Answer, Cut, RawClient
from raw_upstream import CLOSE, HOLD, Exchange, Step
from real_nginx import NGINX, Nginx
from smuggling_answers import EVIL, REPLIES, Reply
from smuggling_requests import REQUESTS
from smuggling_rows import FRAMING, Arrival, Row
from smuggling_world import BEHIND, Alone, NginxWorld, World
from wire_rules import HTTP, REST, Rule, Seen, get, request, still_open

ROWS = [*FRAMING, *REQUESTS]
RULES = Path(__file__).resolve().parent.parent / "dataplane" / "rules"
CUTS = (1, 13)
"""Writes a row is cut into. Where the cuts fall means nothing, and must not."""
BODILESS = (204, 304)
FAILED = {
    REST: (504, b'{"message":"Network error communicating with endpoint"}'),
    HTTP: (503, b'{"message":"Service Unavailable"}'),
}


def rules() -> list[Any]:
    """Those about which bytes are a request. Sizes (test_limits.py) are the gateway's alone."""
    found = []
    for name in ("heads", "bodies", "targets", "connections"):
        path = RULES / f"test_{name}.py"
        spec = importlib.util.spec_from_file_location(f"rules_of_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [pytest.param(rule, id=f"{name}-{rule.id}") for rule in module.RULES]
    return found


def rows(table: Iterable[Row]) -> list[Any]:
    """As parameters; what is known not to hold must fail."""
    return [
        pytest.param(
            row,
            id=row.id,
            marks=[pytest.mark.xfail(strict=True, reason=row.defect)] if row.defect else [],
        )
        for row in table
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway in front of a recorder."""
    behind = Alone()
    with World(tmp_path_factory.mktemp("gateway"), behind) as world:
        yield world
    behind.upstream.close()


@pytest.fixture(scope="module")
def nginx_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxWorld]:
    """A gateway in front of an nginx, which has the patience to be asked again."""
    if NGINX is None:
        pytest.skip("no nginx: Debian has it as nginx-light or nginx")
    with (
        Nginx(wait_ms=60_000, logs=True) as nginx,
        NginxWorld(tmp_path_factory.mktemp("gateway"), nginx) as world,
    ):
        yield world


# --- requests -----------------------------------------------------------------------------------


def ask(world: World, row: Row, cut: int = 1) -> None:
    """A row and another request, in `cut` writes: the answers, and that there are no more."""
    world.forget()
    with RawClient(world.port) as client:
        client.send_pieces(pieces(row.sends + get(BEHIND, b"Connection: close"), cut))
        for status in row.statuses:
            answer = client.read_answer(row.method)
            assert answer.status == status, answer.raw
            assert answer.body != b"behind", "the answer to another request"
        if row.goes_on:
            assert client.read_answer().body == b"behind"
        client.expect_end()
    world.settle()


def pieces(data: bytes, count: int) -> tuple[bytes, ...]:
    """`data` in so many pieces, or nearly."""
    size = -(-len(data) // count)
    return tuple(data[at : at + size] for at in range(0, len(data), size))


def expected(row: Row) -> list[Arrival]:
    """What arrives whole."""
    arrivals = [one for one in row.arrives if not one.part]
    behind = [Arrival(line=b"GET %b HTTP/1.1" % BEHIND)] if row.goes_on else []
    return arrivals + behind


def framing(exchange: Exchange) -> bytes:
    """The fields that frame it, as they came."""
    names = (b"content-length", b"transfer-encoding")
    return b", ".join(
        name + b": " + value for name, value in exchange.headers if name.lower() in names
    )


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("row", rows(ROWS))
def test_what_arrives(row: Row, cut: int, world: World) -> None:
    """Exactly these requests, framed exactly so; of a broken one never the end, and nothing on a
    connection that has the start of one."""
    ask(world, row, cut)
    arrived = world.arrived()
    whole = [one for one in arrived if one.complete]
    wanted = expected(row)
    assert [one.line for one in whole] == [one.line for one in wanted], arrived
    for one, must in zip(whole, wanted, strict=True):
        assert framing(one) == must.framing, one.raw_head
        assert one.body == must.body, one
        assert len(one.all("host")) == 1, one.raw_head
        for name, value in must.has.items():
            assert one.all(name) == [value], f"{name}: {one.raw_head!r}"
        for name in must.lacks:
            assert not one.all(name), f"{name}: {one.raw_head!r}"
    parts = [one for one in arrived if not one.complete]
    assert {one.line for one in parts} <= {one.line for one in row.arrives if one.part}, parts
    for part in parts:
        ended(world, part)
        assert not [one for one in whole if one.connection == part.connection]


def ended(world: World, part: Exchange) -> None:
    """Its connection carries nothing more."""
    world.upstream.wait_for(lambda: bool(part.ended), "the end of a request in part")


@pytest.mark.nginx
@pytest.mark.parametrize("row", rows(ROWS))
def test_nginx_reads_as_many(row: Row, nginx_world: NginxWorld) -> None:
    """The same requests, in nginx's reading and in what it passes on."""
    ask(nginx_world, row)
    wanted = expected(row)
    compare(
        nginx_world,
        [(one.line, one.body) for one in wanted],
        [one.line for one in row.arrives if one.part],
    )


def compare(world: NginxWorld, wanted: list[tuple[bytes, bytes]], in_part: list[bytes]) -> None:
    """Lines and bodies, against nginx's log and against what came of it."""
    whole, parts = world.read_by_nginx()
    assert whole == [line for line, _ in wanted], (whole, parts)
    # What it noted of a request that broke off may come with a later row's.
    assert set(parts) <= {*in_part, b"POST /x HTTP/1.1"}, parts
    arrived = [(one.line, one.body) for one in world.arrived() if one.complete]
    assert arrived == wanted


@pytest.mark.nginx
@pytest.mark.parametrize("rule", rules())
def test_nginx_reads_what_the_rules_say(rule: Rule, nginx_world: NginxWorld) -> None:
    """tests/dataplane/rules, with nginx for an upstream: no more, no fewer, no other requests."""
    upstream = nginx_world.upstream
    nginx_world.forget()
    upstream.default, before = rule.script or upstream.default, upstream.default
    try:
        with RawClient(nginx_world.port) as client:
            client.send_pieces(rule.sends)
            for answer in rule.answers:
                got = client.read_answer(answer.method, interim=answer.interim)
                assert got.status == answer.status, got.raw
            upstream.default = before
            if rule.then == "closes":
                client.expect_end()
            else:
                still_open(client)
        nginx_world.settle()
    finally:
        upstream.default = before
    after = (Seen(line=b"GET /still-open HTTP/1.1"),) if rule.then == "stays" else ()
    wanted = [(one.line, one.body) for one in (*rule.upstream, *after) if one.complete]
    compare(nginx_world, wanted, [one.line for one in rule.upstream if not one.complete])


# --- answers ------------------------------------------------------------------------------------


def cut_replies() -> list[Any]:
    """In one write each, and in several: but for those of which more comes behind a whole answer,
    because what comes behind it later may come behind the next request too."""
    return [
        pytest.param(row, cut, id=f"{row.id}-{cut}")
        for cut in CUTS
        for row in REPLIES
        if cut == 1 or row.outcome != "passed" or EVIL not in row.sends
    ]


@pytest.mark.parametrize("host", [REST, HTTP], ids=["rest", "http"])
@pytest.mark.parametrize(("row", "cut"), cut_replies())
def test_what_a_client_reads(row: Reply, host: bytes, cut: int, world: World) -> None:
    """The answer to what it asked, and the upstream's own answer to what it asked next."""
    world.forget()
    # A script that holds would wait for the gateway to end the connection that it is to reuse.
    end: tuple[Step, ...] = () if row.reuses else (CLOSE if row.ends else HOLD,)
    world.upstream.scripts[b"/row"] = (*pieces(row.sends, cut), *end)
    with RawClient(world.port) as client:
        behind = get(BEHIND, b"Connection: close", host=host)
        client.send(request(row.method, b"/row", *row.asks, host=host) + behind)
        answer = whole_or_cut(client, row.method.decode())
        if isinstance(answer, Cut):
            assert row.outcome == "broken", answer
            assert b"evil" not in answer.received
        else:
            check(row, host, answer)
            assert client.read_answer().body == b"behind"
            client.expect_end()
    world.settle()
    first = {one.connection for one in world.arrived() if one.target == b"/row"}
    after = {one.connection for one in world.arrived() if one.target == BEHIND}
    assert len(first) == 1, "a broken answer is no reason to ask again"
    assert len(after) <= 1
    assert (first == after) if row.reuses else not first & after


def whole_or_cut(client: RawClient, method: str) -> Answer | Cut:
    """An answer, or that there is no whole one."""
    try:
        return client.read_answer(method)
    except Cut as cut:
        return cut


def check(row: Reply, host: bytes, answer: Answer) -> None:
    """A whole answer against what it may be."""
    assert b"evil" not in answer.body
    bodiless = row.method == b"HEAD" or row.status in BODILESS
    passed = (row.status, b"" if bodiless else row.body)
    wanted = passed if row.outcome == "passed" else FAILED[host]
    assert (answer.status, answer.body) == wanted, answer.raw
    assert not [name for name in row.lacks if answer.all(name)], answer.raw


def test_the_tables_have_no_row_twice() -> None:
    for table in (ROWS, REPLIES):
        assert len({row.id for row in table}) == len(table)
