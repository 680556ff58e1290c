"""The smuggling matrix's other direction: answers with which an upstream could reach past its own.

Used by tests/integration/test_smuggling.py. A client asks for this answer and, in the same write,
for another one: which must be the upstream's answer to that, whatever came with the first. Rows
of tests/dataplane/rules/test_upstreams.py are not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from smuggling_rows import OBFUSCATED, SECOND

EVIL: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nevil"
"""An answer to nobody's question: no client may read it as one."""
CHUNKS: Final = b"2\r\nok\r\n0\r\n\r\n"
CL2: Final = b"Content-Length: 2"
TE: Final = b"Transfer-Encoding: chunked"

Outcome = Literal["passed", "refused", "broken"]
"""`passed` on as `status` and `body`; `refused`: a failure of the endpoint; `broken`: that, or the
client is cut off, because a part of it may have gone on before it broke."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One row of answers."""

    id: str
    because: str
    sends: bytes
    """Everything, in one write; then the upstream holds its connection."""
    outcome: Outcome
    status: int = 200
    body: bytes = b""
    reuses: bool = False
    """Whether that connection may carry the next request."""
    ends: bool = False
    """The upstream closes instead of holding."""
    method: bytes = b"GET"
    asks: tuple[bytes, ...] = ()
    """Further header lines of the client's."""
    lacks: tuple[str, ...] = ()
    """Fields that the client must not have."""


def answer(*lines: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines)) + b"\r\n\r\n" + body


def refused(id: str, because: str, sends: bytes) -> Reply:
    return Reply(id=id, because=because, sends=sends, outcome="refused")


def broken(id: str, because: str, body: bytes, *lines: bytes) -> Reply:
    """A chunked answer that breaks, and another one behind it."""
    sends = answer(TE, *lines, body=body)
    return Reply(id=id, because=because, sends=sends, outcome="broken")


FRAMING: Final = "RFC 9112 §6.3: an answer whose framing is ambiguous is not passed on"
PLAIN: Final = ("upper", "mixed", "no-blank", "blanks", "tab-before", "tab-behind")
"""Spellings that every reader takes for `chunked`, tabs included (RFC 9110 §5.5, §5.6.3)."""

BESIDE: Final = [
    *(
        row
        for name, line in OBFUSCATED.items()
        for row in (
            refused(f"cl.te-{name}", FRAMING, answer(CL2, line, body=CHUNKS + EVIL)),
            refused(f"te.cl-{name}", FRAMING, answer(line, CL2, body=CHUNKS + EVIL)),
        )
    ),
    *(
        refused(f"te-{name}", FRAMING, answer(line, body=CHUNKS + EVIL))
        for name, line in OBFUSCATED.items()
        if name not in PLAIN
    ),
    *(
        Reply(
            id=f"te-{name}",
            because="RFC 9112 §7: codings are case-insensitive, blanks around are no part",
            sends=answer(OBFUSCATED[name], body=CHUNKS + EVIL),
            outcome="passed",
            body=b"ok",
        )
        for name in PLAIN
    ),
    *(
        refused(f"cl.cl-{name}-{where}", FRAMING, answer(*lines, body=b"hello" + EVIL))
        for name, line in SECOND.items()
        for where, lines in (
            ("behind", (b"Content-Length: 5", line)),
            ("before", (line, b"Content-Length: 5")),
        )
    ),
]

CHUNK: Final = "RFC 9112 §7.1: sizes are hex digits, lines end in CRLF"
TRAILER: Final = "design §13: trailers are dropped; framing fields in them are refused"
BODIES: Final = [
    *(
        broken(f"size-{name}", CHUNK, body + EVIL)
        for name, body in (
            ("empty", b"\r\nok\r\n0\r\n\r\n"),
            ("plus", b"+2\r\nok\r\n0\r\n\r\n"),
            ("minus", b"-2\r\nok\r\n0\r\n\r\n"),
            ("0x", b"0x2\r\nok\r\n0\r\n\r\n"),
            ("blank-before", b" 2\r\nok\r\n0\r\n\r\n"),
            ("blank-behind", b"2 \r\nok\r\n0\r\n\r\n"),
            ("bare-lf", b"2\nok\n0\n\n"),
            ("bare-cr", b"2\rok\r0\r\r"),
            ("2-64", b"10000000000000000\r\nok\r\n0\r\n\r\n"),
            ("2-64-and-2", b"10000000000000002\r\nok\r\n0\r\n\r\n"),
            ("nul", b"2\x00\r\nok\r\n0\r\n\r\n"),
            ("extension-bare-lf", b"2;a\nok\r\n0\r\n\r\n"),
            ("extension-of-100-kb", b"2;" + b"a" * 100_000 + b"\r\nok\r\n0\r\n\r\n"),
            ("data-too-long", b"2\r\nokay\r\n0\r\n\r\n"),
            ("data-ends-in-lf", b"2\r\nok\n0\r\n\r\n"),
            ("last-chunk-bare-lf", b"2\r\nok\r\n0\n\n"),
        )
    ),
    *(
        broken(f"trailer-{name}", TRAILER, b"2\r\nok\r\n0\r\n" + line + b"\r\n\r\n" + EVIL)
        for name, line in (
            ("te", b"Transfer-Encoding: chunked"),
            ("host", b"Host: other.test"),
            ("connection", b"Connection: close"),
            ("folded", b"A: b\r\n c"),
            ("bare-lf", b"A: b\nC: d"),
            ("bare-cr", b"A: b\rC: d"),
            ("nul", b"A: \x00"),
            ("space-before-colon", b"Content-Length : 2"),
            ("an-answer", EVIL.split(b"\r\n\r\n")[0]),
            ("of-100-kb", b"A: " + b"a" * 100_000),
        )
    ),
    Reply(
        id="trailers-dropped",
        because=TRAILER,
        sends=answer(
            TE,
            b"Trailer: Set-Cookie, Location",
            body=b"2\r\nok\r\n0\r\nSet-Cookie: a=b\r\nLocation: //other.test\r\n\r\n",
        ),
        outcome="passed",
        body=b"ok",
        reuses=True,
        lacks=("trailer", "set-cookie", "location"),
    ),
    *(
        Reply(
            id=f"truncated-{name}",
            because="RFC 9112 §8: an incomplete answer must not look whole",
            sends=sends,
            outcome="broken",
            ends=True,
        )
        for name, sends in (
            ("length", answer(b"Content-Length: 9", body=b"part")),
            ("length-of-nothing", answer(b"Content-Length: 9")),
            ("chunk", answer(TE, body=b"9\r\npart")),
            ("before-the-last-chunk", answer(TE, body=b"4\r\npart\r\n")),
            ("before-the-last-line", answer(TE, body=b"4\r\npart\r\n0\r\n")),
            ("head", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
            ("second-head", answer(status=b"103 Early Hints") + b"HTTP/1.1 200 OK\r\n"),
        )
    ),
]

BEHIND: Final = "design §13: bytes behind an answer drop its connection; they answer nobody"
BODILESS: Final = [
    Reply(
        id=f"{method.decode().lower()}-{status}-{name}",
        because=BEHIND,
        method=method,
        sends=answer(*lines, status=b"%d X" % status, body=body),
        outcome="passed",
        status=status,
    )
    for method, status in ((b"HEAD", 200), (b"HEAD", 404), (b"GET", 204), (b"GET", 304))
    for name, lines, body in (
        ("an-answer-as-its-length", (b"Content-Length: %d" % len(EVIL),), EVIL),
        ("an-answer-behind-a-length", (b"Content-Length: 0",), EVIL),
        ("an-answer-without-length", (), EVIL),
        ("an-answer-in-chunks", (TE,), b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL)),
        ("an-answer-behind-the-last-chunk", (TE,), b"0\r\n\r\n" + EVIL),
    )
] + [
    Reply(
        id="an-answer-behind-no-body",
        because=BEHIND,
        sends=answer(b"Content-Length: 0", body=EVIL),
        outcome="passed",
    ),
    Reply(
        id="205-with-an-answer-for-a-body",
        because="RFC 9112 §6.3: 205 is framed like any other; its length says where it ends",
        sends=answer(CL2, status=b"205 Reset Content", body=b"ok" + EVIL),
        outcome="passed",
        status=205,
        body=b"ok",
    ),
    Reply(
        id="two-answers-at-once",
        because=BEHIND,
        sends=EVIL.replace(b"evil", b"good") + EVIL,
        outcome="passed",
        body=b"good",
    ),
    Reply(
        id="426-to-an-upgrade",
        because="RFC 9110 §7.8: only 101 switches; what follows are requests, not a tunnel's bytes",
        asks=(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 777",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        sends=answer(CL2, status=b"426 Upgrade Required", body=b"no"),
        outcome="passed",
        status=426,
        body=b"no",
        reuses=True,
    ),
]

INTERIM: Final = "RFC 9110 §15.2: interim answers have no body, and there is an end to them"
OK: Final = answer(CL2, body=b"ok")
INTERIMS: Final = [
    Reply(
        id="interim-60",
        because=INTERIM,
        sends=answer(status=b"102 Processing") * 60 + OK,
        outcome="passed",
        body=b"ok",
        reuses=True,
    ),
    refused("interim-65", INTERIM, answer(status=b"102 Processing") * 65 + OK),
    refused("interim-flood", INTERIM, answer(status=b"100 Continue") * 10_000 + EVIL),
    refused(
        "interim-flood-of-large-ones",
        INTERIM,
        answer(b"Link: " + b"a" * 60_000, status=b"103 Early Hints") * 70 + EVIL,
    ),
    refused("interim-with-a-length", INTERIM, answer(CL2, status=b"103 X", body=b"ok") + EVIL),
    refused("interim-with-chunks", INTERIM, answer(TE, status=b"103 X", body=CHUNKS) + EVIL),
    refused("interim-with-a-body", INTERIM, answer(status=b"103 X", body=b"ok") + EVIL),
    refused("interim-of-old", INTERIM, b"HTTP/1.0 103 X\r\n" + TE + b"\r\n\r\n" + OK),
    refused(
        "switch-and-an-answer",
        "RFC 9110 §15.2.2: nobody asked to switch",
        answer(b"Connection: Upgrade", b"Upgrade: h2c", status=b"101 X") + EVIL,
    ),
    Reply(
        id="interim-fields-stay-there",
        because="RFC 9110 §15.2: they are not the final answer's",
        sends=answer(b"Set-Cookie: a=b", b"Location: //other.test", status=b"103 X") + OK,
        outcome="passed",
        body=b"ok",
        reuses=True,
        lacks=("set-cookie", "location"),
    ),
]

LINE: Final = "RFC 9112 §4, §5: a status line and field lines, nothing before, nothing between"
BOMB: Final = "design §13: 64 KB of head and 200 fields from an upstream"
HEADS: Final = [
    *(
        refused(f"head-{name}", LINE, sends + EVIL)
        for name, sends in (
            ("crlf-before", b"\r\n" + OK),
            ("lf-before", b"\n" + OK),
            ("blank-before", b" " + OK),
            ("nul-before", b"\x00" + OK),
            ("byte-order-mark", b"\xef\xbb\xbf" + OK),
            ("tabs-in-status-line", OK.replace(b"1.1 200 ", b"1.1\t200\t")),
            ("status-and-reason-as-one", OK.replace(b"200 OK", b"200OK")),
            ("status-plus", OK.replace(b"200 OK", b"+20 OK")),
            ("status-600", OK.replace(b"200 OK", b"600 X")),
            ("version-1.10", OK.replace(b"HTTP/1.1", b"HTTP/1.10")),
            ("reason-with-lf", OK.replace(b"OK", b"O\nSet-Cookie: a=b")),
            ("reason-with-nul", OK.replace(b"OK", b"O\x00K")),
            ("name-nul", answer(b"A\x00: b", CL2, body=b"ok")),
            ("name-obs-text", answer(b"A\xe9: b", CL2, body=b"ok")),
            ("value-del", answer(b"A: \x7f", CL2, body=b"ok")),
            ("fold-of-set-cookie", answer(b"Set-Cookie: a=b;", b" Path=/", CL2, body=b"ok")),
            ("fold-first-line", answer(b" A: b", CL2, body=b"ok")),
            ("lf-ends-the-head", b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok"),
            ("lf-lf-ends-the-head", b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\nok"),
            ("cr-cr-lf", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\r\n\r\nok"),
        )
    ),
    refused("bomb-201-fields", BOMB, answer(*(b"A: b",) * 200, CL2, body=b"ok")),
    refused("bomb-70-kb-in-50-fields", BOMB, answer(*(b"A: " + b"b" * 1400,) * 50, CL2) + EVIL),
    refused("bomb-of-one-name", BOMB, answer(b"A" * 70_000 + b": b", CL2) + EVIL),
    Reply(
        id="200-fields",
        because=BOMB,
        sends=answer(*(b"A: b",) * 199, CL2, body=b"ok"),
        outcome="passed",
        body=b"ok",
        reuses=True,
    ),
    Reply(
        id="connection-names-framing",
        because="RFC 9110 §7.6.1: framing of ours is not the upstream's to remove",
        sends=answer(
            b"Connection: Content-Length, Transfer-Encoding, Content-Type, X-Own",
            b"X-Own: 1",
            CL2,
            body=b"ok",
        ),
        outcome="passed",
        body=b"ok",
        reuses=True,
        lacks=("x-own",),
    ),
]

REPLIES: Final = [*BESIDE, *BODIES, *BODILESS, *INTERIMS, *HEADS]
