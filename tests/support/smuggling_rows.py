"""The vocabulary of the smuggling matrix, and its rows of heads: what two readers read as two.

Used by tests/integration/test_smuggling.py. A row is bytes a client sends, what it must be
answered, and what must arrive upstream of it: which requests, framed how. Behind each row another
request follows in the same write: served as itself where the connection goes on, never where it
ends. Rows of tests/dataplane/rules are not repeated here: the matrix runs those too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wire_rules import REST, request

SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: " + REST + b"\r\n\r\n"
"""No reader may find this: it always stands inside something else, or behind a refusal."""
CL5: Final = b"Content-Length: 5"
TE: Final = b"Transfer-Encoding: chunked"
LINE: Final = b"POST /x HTTP/1.1"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One request as the upstream must read it."""

    line: bytes
    framing: bytes = b""
    """Its one framing field, to the letter; empty: there is none."""
    body: bytes = b""
    has: dict[str, bytes] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    part: bool = False
    """It may arrive in part or not at all; whole it must not."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of requests."""

    id: str
    because: str
    sends: bytes
    statuses: tuple[int, ...]
    """Final answers to `sends`, and no others."""
    goes_on: bool
    """Whether what follows is served; otherwise the connection ends without a further answer."""
    arrives: tuple[Arrival, ...] = ()
    method: str = "GET"
    """HEAD: the answer has no body to read."""
    defect: str = ""
    """Why it is known not to hold yet; the test must fail."""


def refused(id: str, because: str, sends: bytes, *, part: bytes = b"", defect: str = "") -> Row:
    """400, the end, and nothing upstream (or no more than the start of `part`)."""
    arrives = (Arrival(line=part, part=True),) if part else ()
    return Row(
        id=id,
        because=because,
        sends=sends,
        statuses=(400,),
        goes_on=False,
        arrives=arrives,
        defect=defect,
    )


def served(id: str, because: str, sends: bytes, arrival: Arrival, *, method: str = "GET") -> Row:
    """One request, answered as such; the connection goes on."""
    return Row(
        id=id,
        because=because,
        sends=sends,
        statuses=(200,),
        goes_on=True,
        arrives=(arrival,),
        method=method,
    )


def post(*lines: bytes, body: bytes = b"", host: bytes = REST, version: bytes = b"1.1") -> bytes:
    return request(b"POST", b"/x", *lines, body=body, host=host, version=version)


# --- Content-Length and Transfer-Encoding ------------------------------------------------------

OBFUSCATED: Final = {
    "upper": b"TRANSFER-ENCODING: CHUNKED",
    "mixed": b"tRaNsFeR-eNcOdInG: cHuNkEd",
    "no-blank": b"Transfer-Encoding:chunked",
    "blanks": b"Transfer-Encoding:   chunked  ",
    "tab-before": b"Transfer-Encoding:\tchunked",
    "tab-behind": b"Transfer-Encoding: chunked\t",
    "vertical-tab-before": b"Transfer-Encoding:\x0bchunked",
    "vertical-tab-behind": b"Transfer-Encoding: chunked\x0b",
    "form-feed": b"Transfer-Encoding: \x0cchunked",
    "nul-before": b"Transfer-Encoding: \x00chunked",
    "nul-behind": b"Transfer-Encoding: chunked\x00",
    "del": b"Transfer-Encoding: chunked\x7f",
    "no-break-space": b"Transfer-Encoding:\xa0chunked",
    "next-line": b"Transfer-Encoding: chunked\x85",
    "byte-order-mark": b"Transfer-Encoding: \xef\xbb\xbfchunked",
    "space-before-colon": b"Transfer-Encoding : chunked",
    "tab-before-colon": b"Transfer-Encoding\t: chunked",
    "nul-before-colon": b"Transfer-Encoding\x00: chunked",
    "vertical-tab-before-colon": b"Transfer-Encoding\x0b: chunked",
    "no-break-space-before-colon": b"Transfer-Encoding\xa0: chunked",
    "cr-before-colon": b"Transfer-Encoding\r: chunked",
    "two-colons": b"Transfer-Encoding:: chunked",
    "space-for-hyphen": b"Transfer Encoding: chunked",
    "no-colon": b"Transfer-Encoding chunked",
    "fold-before-value": b"Transfer-Encoding:\r\n chunked",
    "tab-fold-before-value": b"Transfer-Encoding:\r\n\tchunked",
    "fold-in-value": b"Transfer-Encoding: chun\r\n ked",
    "fold-behind": b"Transfer-Encoding: chunked\r\n , identity",
    "fold-of-the-line": b"X: y\r\n Transfer-Encoding: chunked",
    "behind-a-bare-lf": b"X: y\nTransfer-Encoding: chunked",
    "behind-a-bare-cr": b"X: y\rTransfer-Encoding: chunked",
    "behind-cr-cr-lf": b"X: y\r\r\nTransfer-Encoding: chunked",
    "ends-in-a-bare-lf": b"Transfer-Encoding: chunked\nX: y",
    "ends-in-a-bare-cr": b"Transfer-Encoding: chunked\rX: y",
    "identity": b"Transfer-Encoding: identity",
    "identity-behind": b"Transfer-Encoding: chunked, identity",
    "identity-before": b"Transfer-Encoding: identity, chunked",
    "gzip-before": b"Transfer-Encoding: gzip, chunked",
    "list-of-the-same": b"Transfer-Encoding: chunked,chunked",
    "comma-behind": b"Transfer-Encoding: chunked,",
    "comma-before": b"Transfer-Encoding: ,chunked",
    "xchunked": b"Transfer-Encoding: xchunked",
    "chunkedx": b"Transfer-Encoding: chunkedx",
    "x-chunked": b"Transfer-Encoding: x chunked",
    "chunk": b"Transfer-Encoding: chunk",
    "unknown": b"Transfer-Encoding: cow",
    "empty": b"Transfer-Encoding:",
    "semicolon": b"Transfer-Encoding: chunked;",
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "quoted": b'Transfer-Encoding: "chunked"',
    "single-quoted": b"Transfer-Encoding: 'chunked'",
    "commented": b"Transfer-Encoding: (x) chunked",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "twice-identity-behind": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "twice-identity-before": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "twice-unknown-behind": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    "twice-empty-before": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
}
"""Transfer-Encoding as attackers write it: each is `chunked` to some reader, nothing to another."""

BOTH: Final = "RFC 9112 §6.1, §6.3: a length beside a coding, however it is spelt"
_CHUNK: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
_FOR_LENGTHS: Final = b"0\r\n\r\n" + SMUGGLED
"""One body to a reader of lengths; an end and a request to a reader of chunks."""

BESIDE: Final = [
    row
    for name, line in OBFUSCATED.items()
    for row in (
        refused(
            f"cl.te-{name}",
            BOTH,
            post(b"Content-Length: %d" % len(_FOR_LENGTHS), line, body=_FOR_LENGTHS),
        ),
        refused(f"te.cl-{name}", BOTH, post(line, b"Content-Length: 4", body=_CHUNK)),
    )
]

DECOY: Final = "RFC 9110 §5.1: a field of another name, however like it, frames nothing"
DECOYS: Final = [
    served(
        f"decoy-{line.split(b':')[0].decode().lower()}",
        DECOY,
        post(line, b"Content-Length: %d" % len(_FOR_LENGTHS), body=_FOR_LENGTHS),
        Arrival(line=LINE, framing=b"Content-Length: %d" % len(_FOR_LENGTHS), body=_FOR_LENGTHS),
    )
    for line in (
        b"X-Transfer-Encoding: chunked",
        b"Transfer_Encoding: chunked",
        b"TransferEncoding: chunked",
        b"Transfer-Encoding-: chunked",
        b"Transfer.Encoding: chunked",
        b"TE: chunked",
        b"Content-Transfer-Encoding: chunked",
        b"Content_Length: 0",
        b"Content-Length-: 0",
        b"X-Content-Length: 0",
    )
]

# --- lengths ----------------------------------------------------------------------------------

LENGTH: Final = "RFC 9110 §8.6, RFC 9112 §6.3: one Content-Length of digits, or none"
SECOND: Final = {
    "the-same": b"Content-Length: 5",
    "zero": b"Content-Length: 0",
    "larger": b"Content-Length: 50",
    "leading-zero": b"Content-Length: 05",
    "plus": b"Content-Length: +5",
    "minus": b"Content-Length: -5",
    "hex": b"Content-Length: 0x5",
    "list": b"Content-Length: 5, 5",
    "empty": b"Content-Length:",
    "letters": b"Content-Length: five",
    "tab": b"Content-Length:\t0",
    "nul": b"Content-Length: 0\x00",
    "other-case": b"cONTENT-lENGTH: 0",
    "space-before-colon": b"Content-Length : 0",
    "nul-before-colon": b"Content-Length\x00: 0",
    "fold": b"Content-Length:\r\n 0",
    "fold-of-the-line": b"X: y\r\n Content-Length: 0",
    "behind-a-bare-lf": b"X: y\nContent-Length: 0",
    "behind-a-bare-cr": b"X: y\rContent-Length: 0",
}
"""What may stand beside a good length: each leaves the second reader another one."""

PAIRS: Final = [
    refused(f"cl.cl-{name}-{where}", LENGTH, post(*lines, body=b"hello" + SMUGGLED))
    for name, line in SECOND.items()
    for where, lines in (("behind", (CL5, line)), ("before", (line, CL5)))
]

LENGTHS: Final = [
    *(
        refused(f"cl-{name}", LENGTH, post(b"Content-Length: " + value, body=b"hello" + SMUGGLED))
        for name, value in (
            ("comma-behind", b"5,"),
            ("comma-before", b",5"),
            ("list-blank", b"5 , 5"),
            ("list-of-zero", b"0, 5"),
            ("semicolon", b"5;"),
            ("minus-zero", b"-0"),
            ("plus-zero", b"+0"),
            ("exponent", b"5e0"),
            ("binary", b"0b101"),
            ("octal", b"0o5"),
            ("vertical-tab", b"\x0b5"),
            ("form-feed", b"5\x0c"),
            ("nul", b"5\x00"),
            ("no-break-space", b"5\xa0"),
            ("full-width-digit", "５".encode()),
            ("single-quoted", b"'5'"),
            ("fold-behind", b"5\r\n 0"),
            ("infinity", b"Infinity"),
        )
    ),
    *(
        served(
            f"cl-{name}",
            "RFC 9110 §8.6: 1*DIGIT; our own spelling of the number goes on",
            post(b"Content-Length: " + value, body=b"hello"),
            Arrival(line=LINE, framing=CL5, body=b"hello"),
        )
        for name, value in (("leading-zeros", b"0005"), ("blank-behind", b"5 "))
    ),
    Row(
        id="cl-missing-before-a-body",
        because="RFC 9112 §6.3: without framing there is no body; what follows is a bad head",
        sends=post(b"Content_Length: 5", body=b"hello"),
        statuses=(200, 400),
        goes_on=False,
        arrives=(Arrival(line=LINE, framing=b"Content-Length: 0"),),
    ),
    Row(
        id="cl-missing-before-a-body-in-1.0",
        because="RFC 9112 §6.3: as in 1.1; HTTP/1.0's body that ends with the connection is an"
        " answer's only",
        sends=post(b"Connection: keep-alive", version=b"1.0", body=b"hello"),
        statuses=(200, 400),
        goes_on=False,
        arrives=(Arrival(line=LINE, framing=b"Content-Length: 0"),),
    ),
]

FRAMING: Final = [*BESIDE, *DECOYS, *PAIRS, *LENGTHS]
