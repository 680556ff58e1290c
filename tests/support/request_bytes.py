"""Hypothesis strategies for what a hostile or broken client may write.

Used by tests/fuzz. A message is put together from a grammar whose every place has a few wrong
choices among the right ones, then, now and then, bytes of the whole are changed. Rare choices are
weighted so that most messages have one or two oddities: a message with ten is refused for the
first and says nothing about the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import strategies as st

HOSTS = [b"rest.test", b"http.test"]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: rest.test\r\n\r\n"


class Crowd(tuple["Written", ...]):
    """Several clients. Shown by its size: what failed says which of them it is about."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} clients>"


class Written(NamedTuple):
    """What one client writes."""

    data: bytes
    cuts: tuple[int, ...]
    """Where it is cut into writes."""

    @property
    def pieces(self) -> list[bytes]:
        """The writes."""
        edges = [0, *sorted({cut % (len(self.data) + 1) for cut in self.cuts}), len(self.data)]
        return [self.data[a:b] for a, b in pairwise(edges) if a < b]


def mostly(
    right: Sequence[bytes], wrong: Sequence[bytes], odds: int = 12
) -> st.SearchStrategy[bytes]:
    """One of `right`, or once in `odds` one of `wrong`."""
    return st.integers(0, odds - 1).flatmap(
        lambda draw: st.sampled_from(wrong if draw == odds - 1 else right)
    )


METHODS = mostly(
    [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"],
    [b"get", b"PRI", b"SOURCE", b"G\x00ET", b"", b"X", b"CONNECT", b"G ET", b"QUERY"],
)
TARGETS = mostly(
    [b"/", b"/a", b"/a/b?c=d", b"/%41", b"/a%2fb", b"/a;b=c", b"/a?b?c", b"//a", b"/a//", b"/.a"],
    [
        b"",
        b"a",
        b"*",
        b"/a b",
        b"/..",
        b"/a/../b",
        b"/%2e%2e/a",
        b"/%",
        b"/%zz",
        b"/a#b",
        b"/\\a",
        b"/{a}",
        b"/|",
        b'/"',
        b"/\x80",
        b"/\xc3\xa9",
        b"/a\tb",
        b"/%00",
        b"/%ff",
        b"http://rest.test/a",
        b"http://other.test/a",
        b"http://rest.test",
        b"ftp://rest.test/",
        b"rest.test:80",
        b"?a",
        b"/a?%",
        b"http://rest.test:80/a",
        b"http://a@rest.test/",
    ],
)
VERSIONS = mostly(
    [b"HTTP/1.1"],
    [
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"HTTP/11",
        b"HTTP/1",
        b"",
        b"RTSP/1.0",
        b"ICE/1.0",
        b"HTTP/1.10",
        b"HTTP/01.1",
    ],
)
SPACES = mostly([b" "], [b"  ", b"\t", b"", b"\r", b" \t", b"\x0b", b"\xa0"], 30)
LINE_ENDS = mostly(
    [b"\r\n"], [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"", b"\x00\r\n"], 40
)
COLONS = mostly([b": "], [b":", b" : ", b"\t:", b":\t ", b"", b" ", b"\r:", b"::"], 30)

NUMBERS = mostly(
    [b"0", b"5", b"16"],
    [
        b"",
        b"+5",
        b"-1",
        b"0x5",
        b"5, 5",
        b"5,6",
        b"05",
        b"5 5",
        b"5a",
        b"1_0",
        b"\xd9\xa5",
        b"18446744073709551621",
        b"99999999999999999999",
        b'"5"',
        b"5.0",
        b"5\x00",
    ],
)
CODINGS = mostly(
    [b"chunked", b"Chunked"],
    [
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"identity",
        b"xchunked",
        b"chunked;q=1",
        b"",
        b"\x0bchunked",
        b"chunked\x00",
        b'"chunked"',
        b"chunked,",
        b", chunked",
        b"chun ked",
    ],
)


def lines() -> st.SearchStrategy[list[bytes]]:
    """Header lines besides Host and framing."""
    name = mostly(
        [b"A", b"Accept", b"X-Forwarded-For", b"Cookie", b"User-Agent", b"Content-Type"],
        [
            b"",
            b"A B",
            b"A\x00",
            b"(",
            b"\xc3\xa9",
            b"A\r",
            b" A",
            b"Host",
            b"Content-Length",
            b"Transfer-Encoding",
            b"transfer_encoding",
            b"Content_Length",
            b"content-length\x20",
        ],
    )
    value = mostly(
        [b"b", b"", b"b c", b"b\tc", b"\xff", b"1", b'"q"'],
        [b"\x00", b"b\rc", b"b\nc", b"\x7f", b"\x01", b"b\r\n c", b"b\r\nHost: other.test", b"5"],
    )
    special = st.sampled_from(
        [
            b"Connection: close",
            b"Connection: keep-alive",
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"Expect: 100-continue",
            b"TE: trailers",
            b"Trailer: A",
            b"Connection: Content-Length",
            b"Connection: Transfer-Encoding",
            b"Keep-Alive: 5",
        ]
    )
    ordinary = st.tuples(name, COLONS, value).map(b"".join)
    return st.lists(st.one_of(ordinary, ordinary, special), max_size=4, unique_by=_once)


def _once(line: bytes) -> bytes:
    """nginx refuses a second Expect, TE or Upgrade, which frame nothing: one of each will do."""
    name = line.partition(b":")[0].strip().lower()
    return line if name == b"connection" else name


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """A chunked body, usually a right one."""
    pieces = []
    for data in draw(
        st.lists(st.sampled_from([b"x", b"hello", b"\r\n", b"0\r\n\r\n", SMUGGLED]), max_size=3)
    ):
        size = draw(
            mostly(
                [b"%x" % len(data), b"%X" % len(data), b"0%x" % len(data)],
                [
                    b"",
                    b"g",
                    b"-1",
                    b"0x1",
                    b" 1",
                    b"1 ",
                    b"+1",
                    b"ffffffffffffffff",
                    b"1\x00",
                    b"%x" % (len(data) + 1),
                    b"%x" % max(0, len(data) - 1),
                    b"10000000000000001",
                ],
                20,
            )
        )
        extension = draw(mostly([b"", b";a=b"], [b' ;a="b"', b";\x00", b";a\n", b";a\r"], 20))
        pieces += [size, extension, draw(LINE_ENDS), data, draw(LINE_ENDS)]
    trailer = draw(
        mostly(
            [b""],
            [
                b"A: b\r\n",
                b"Host: other.test\r\n",
                b"Content-Length: 5\r\n",
                b"A : b\r\n",
                b"A\r\n",
                b" A: b\r\n",
                b"A: b\n",
                SMUGGLED,
            ],
            12,
        )
    )
    last = draw(mostly([b"0", b"00"], [b"", b"0x0", b"-0", b"0 ", b"0;a"], 20))
    return b"".join([*pieces, last, draw(LINE_ENDS), trailer, draw(LINE_ENDS)])


@st.composite
def message(draw: st.DrawFn) -> bytes:
    """One request, with the body that its framing says or another one."""
    fields = [
        draw(
            mostly(
                [b"Host: " + draw(st.sampled_from(HOSTS))],
                [
                    b"",
                    b"Host:",
                    b"Host: a b",
                    b"Host: rest.test\r\nHost: rest.test",
                    b"Host: rest.test, http.test",
                    b"host: rest.test:80",
                    b"Host: rest.test/",
                    b"Host: a@rest.test",
                    b"Host: nobody.test",
                ],
            )
        )
    ]
    framing = draw(
        st.sampled_from(["none", "none", "length", "length", "chunked", "chunked", "both", "twice"])
    )
    number = draw(NUMBERS)
    length = b"Content-Length" + draw(COLONS) + number
    coding = (
        draw(st.sampled_from([b"Transfer-Encoding", b"transfer-encoding"]))
        + draw(COLONS)
        + draw(CODINGS)
    )
    body = b""
    if framing in ("length", "both", "twice"):
        fields.append(length)
        count = int(number) if number.isdigit() and len(number) < 4 else 5
        body = draw(st.sampled_from([b"x" * count, (b"hello" * 4)[:count], SMUGGLED]))
    if framing in ("chunked", "both"):
        fields.append(coding)
        body = draw(chunked())
    if framing == "twice":
        fields.append(draw(st.sampled_from([length, coding, b"Content-Length: 5"])))
    fields += draw(lines())
    fields = draw(st.permutations([field for field in fields if field]))
    start = b"".join([draw(METHODS), draw(SPACES), draw(TARGETS), draw(SPACES), draw(VERSIONS)])
    before = draw(mostly([b""], [b"\r\n", b"\n", b" ", b"\r\n\r\n", b"\x00"], 30))
    ended = b"".join(part for line in (start, *fields) for part in (line, draw(LINE_ENDS)))
    return before + ended + draw(LINE_ENDS) + body


BYTES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x00", b",", b"0", b"\x80", b"/", b";"]
)


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """A few bytes more, fewer or other."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["insert", "delete", "replace", "repeat", "cut"]))
        until = min(len(data), at + draw(st.integers(1, 6)))
        if kind == "insert":
            data = data[:at] + draw(BYTES) + data[at:]
        elif kind == "delete":
            data = data[:at] + data[until:]
        elif kind == "replace":
            data = data[:at] + draw(BYTES) + data[at + 1 :]
        elif kind == "repeat":
            data = data[:until] + data[at:]
        elif at > len(data) // 2:
            data = data[:at]
    return data


@st.composite
def written(draw: st.DrawFn) -> Written:
    """One to three messages, changed, and how they are cut into writes."""
    data = b"".join(draw(st.lists(message(), min_size=1, max_size=3)))
    data = draw(changed(data))
    cuts = draw(
        st.one_of(
            st.just(()),
            st.lists(st.integers(0, 2000), max_size=6).map(tuple),
            st.just(tuple(range(64))),
        )
    )
    return Written(data, cuts)


@st.composite
def ambiguous(draw: st.DrawFn) -> Written:
    """One head that two readers could read as two things, with a request in what follows.

    Right everywhere but in the one place that makes it ambiguous.
    """
    host = b"Host: " + draw(st.sampled_from(HOSTS))
    length = b"Content-Length: %d" % draw(st.sampled_from([0, 1, 5, len(SMUGGLED)]))
    coding = b"Transfer-Encoding: chunked"
    wrong_length = b"Content-Length: " + draw(
        st.sampled_from(
            [b"+0", b"-0", b"0x0", b"0,0", b"0, 5", b"", b"0 0", b"0\x00", b"\xd9\xa0", b"1e0"]
        )
    )
    wrong_coding = b"Transfer-Encoding: " + draw(
        st.sampled_from(
            [
                b"gzip, chunked",
                b"chunked, identity",
                b"xchunked",
                b"\x0bchunked",
                b"chunked\x00",
                b"chunked, chunked",
                b"identity",
                b"",
                b"chunked;a",
                b"chunk",
                b"ch\tunked",
            ]
        )
    )
    fields, version, end = draw(
        st.sampled_from(
            [
                ([length, coding], b"1.1", b"\r\n"),
                ([coding, length], b"1.1", b"\r\n"),
                ([length, b"Content-Length: 3"], b"1.1", b"\r\n"),
                ([length, length], b"1.1", b"\r\n"),
                ([wrong_length], b"1.1", b"\r\n"),
                ([wrong_coding], b"1.1", b"\r\n"),
                ([wrong_coding, length], b"1.1", b"\r\n"),
                ([wrong_length, coding], b"1.1", b"\r\n"),
                ([coding, coding], b"1.1", b"\r\n"),
                ([coding], b"1.0", b"\r\n"),
                ([length], b"1.1", b"\n"),
                ([coding], b"1.1", b"\n"),
                ([length.replace(b":", b" :")], b"1.1", b"\r\n"),
                ([coding.replace(b":", b"\t:")], b"1.1", b"\r\n"),
                ([b" " + length], b"1.1", b"\r\n"),
                ([b"A: b\r\n " + length], b"1.1", b"\r\n"),
                ([b"A: b\r" + coding], b"1.1", b"\r\n"),
                ([b"A: b\n" + coding], b"1.1", b"\r\n"),
                ([b"A: \x00b", length], b"1.1", b"\r\n"),
                ([host, length], b"1.1", b"\r\n"),
            ]
        )
    )
    fields = draw(st.permutations(fields)) if draw(st.booleans()) else list(fields)
    around = [b"Accept: */*", b"A: b"][: draw(st.integers(0, 2))]
    method = draw(st.sampled_from([b"POST", b"GET", b"PUT"]))
    head = end.join([b"%b /a HTTP/%b" % (method, version), host, *around, *fields, b"", b""])
    tail = draw(
        st.sampled_from([SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED])
    )
    cuts = draw(st.sampled_from([(), (len(head),), (10, 40), tuple(range(80))]))
    return Written(head + tail, cuts)
