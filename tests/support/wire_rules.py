"""The vocabulary of tests/dataplane/rules: a rule is a row, and one function runs any row.

A row says which bytes a client sends, what answers, whether the connection goes on, and what an
upstream may see of it. `check` runs a row against the real engine and a recording upstream.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from engine import Engine
from raw_http import Answer, RawClient
from raw_upstream import Exchange, Script

REST: Final = b"rest.test"
HTTP: Final = b"http.test"


@dataclass(frozen=True, kw_only=True)
class Expect:
    """One response."""

    status: int
    message: str | None = None
    """What a JSON error body says."""
    body: bytes | None = None
    method: str = "GET"
    """HEAD has no body to read."""
    interim: bool = False
    """A 1xx of its own, to be read as such."""
    has: dict[str, bytes] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    framing: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as the upstream must have read it."""

    line: bytes
    body: bytes = b""
    has: dict[str, bytes] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    complete: bool = True
    """False: it may arrive in part, or not at all; whole it must not."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row."""

    id: str
    because: str
    """The section and what it says."""
    sends: tuple[bytes, ...]
    """What the client writes; between two pieces it makes sure that they are two."""
    answers: tuple[Expect, ...]
    then: Literal["closes", "stays"]
    upstream: tuple[Seen, ...] = ()
    """Empty: the upstream must not be reached."""
    script: Script | None = None
    """What the upstream answers on every target of this row; absent: 200 `ok`."""
    half_close: bool = False
    """The client ends its side after the last piece."""


def refused(
    id: str,
    because: str,
    *sends: bytes,
    status: int = 400,
    message: str = "Bad Request",
    upstream: tuple[Seen, ...] = (),
) -> Rule:
    """A row that is refused: one error, then the connection ends."""
    return Rule(
        id=id,
        because=because,
        sends=sends,
        answers=(Expect(status=status, message=message, has={"connection": b"close"}),),
        then="closes",
        upstream=upstream,
    )


def accepted(id: str, because: str, *sends: bytes, line: bytes, body: bytes = b"") -> Rule:
    """A row that is one good request: answered, kept open, seen as `line` and `body`."""
    return Rule(
        id=id,
        because=because,
        sends=sends,
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=line, body=body),),
    )


def get(target: bytes = b"/x", *lines: bytes, host: bytes = REST, version: bytes = b"1.1") -> bytes:
    """A head without body; `lines` are header lines."""
    return request(b"GET", target, *lines, host=host, version=version)


def request(
    method: bytes,
    target: bytes = b"/x",
    *lines: bytes,
    host: bytes = REST,
    version: bytes = b"1.1",
    body: bytes = b"",
) -> bytes:
    """A request; its framing is among `lines`."""
    head = [b"%b %b HTTP/%b" % (method, target, version), b"Host: " + host, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def check(rule: Rule, engine: Engine) -> None:
    """Run one row."""
    upstream = engine.upstream
    upstream.forget()
    upstream.default, before = rule.script or upstream.default, upstream.default
    try:
        with RawClient(engine.port) as client:
            client.send_pieces(rule.sends)
            if rule.half_close:
                client.half_close()
            for expected in rule.answers:
                check_answer(
                    client.read_answer(expected.method, interim=expected.interim), expected
                )
            upstream.default = before
            if rule.then == "closes":
                client.expect_end()
            else:
                still_open(client)
        engine.settle()
    finally:
        upstream.default = before
    check_upstream(rule, upstream.exchanges, upstream.garbage)


def still_open(client: RawClient) -> None:
    """The connection takes another request, and its answer is the right one."""
    assert not client.pending, f"more came than was asked for: {client.pending[:200]!r}"
    client.send(get(b"/still-open", b"Connection: close"))
    answer = client.read_answer()
    assert (answer.status, answer.body) == (200, b"ok"), answer
    client.expect_end()


def check_answer(answer: Answer, expected: Expect) -> None:
    """One response against what it should be."""
    assert answer.status == expected.status, answer.raw
    if expected.message is not None:
        assert json.loads(answer.body) == {"message": expected.message}, answer.raw
        assert answer.get("content-type") == b"application/json", answer.raw
        assert answer.framing == "length", answer.raw
    if expected.body is not None:
        assert answer.body == expected.body, answer.raw
    if expected.framing:
        assert answer.framing == expected.framing, answer.raw
    for name, value in expected.has.items():
        assert answer.get(name) == value, f"{name}: {answer.raw!r}"
    for name in expected.lacks:
        assert not answer.all(name), f"{name}: {answer.raw!r}"


def check_upstream(rule: Rule, exchanges: Sequence[Exchange], garbage: Sequence[bytes]) -> None:
    """What the upstream has read against what it may have."""
    assert not garbage, f"the upstream was sent {garbage}"
    ours = [one for one in exchanges if one.target not in (b"/still-open", Engine.SETTLED)]
    must = [one for one in rule.upstream if one.complete]
    may = [one for one in rule.upstream if not one.complete]
    whole = [one for one in ours if one.complete]
    assert [one.line for one in whole] == [one.line for one in must], ours
    for part in ours:
        assert part.complete or part.line in [one.line for one in may], part
    for got, wanted in zip(whole, must, strict=True):
        assert got.body == wanted.body, got
        for name, value in wanted.has.items():
            assert got.all(name) == [value], f"{name}: {got.raw_head!r}"
        for name in wanted.lacks:
            assert not got.all(name), f"{name}: {got.raw_head!r}"
