"""The smuggling matrix's rows of hosts and targets: whose request it is, and for what.

Used by tests/integration/test_smuggling.py; the vocabulary is in `smuggling_rows`.
"""

from __future__ import annotations

from typing import Final

from smuggling_rows import Arrival, Row, refused, served
from wire_rules import HTTP, REST, get

KEPT: Final = b"kept.test"
"""An API whose routes send the client's Host on."""
# --- hosts ------------------------------------------------------------------------------------

HOST: Final = "RFC 9112 §3.2: one Host, a good one, of the authority that was asked"
TARGETS_OWN: Final = "design §6.3: Host is the target's unless `preserveHost`"
OUR_HOST: Final = {"host": b"upstream.test"}


def host(value: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b"GET /x HTTP/1.1", b"Host: " + value, *lines)) + b"\r\n\r\n"


HOSTS: Final = [
    *(
        refused(f"host-{name}", HOST, host(value))
        for name, value in (
            ("empty", b""),
            ("port-alone", b":80"),
            ("user-and-password", b"a:b@" + REST),
            ("at", REST + b"@other.test"),
            ("port-of-six-digits", REST + b":123456"),
            ("port-plus", REST + b":+80"),
            ("port-hex", REST + b":0x50"),
            ("port-then-host", REST + b":80@other.test"),
            ("port-then-path", REST + b":80/x"),
            ("tab-inside", REST + b"\tother.test"),
            ("nul", REST + b"\x00.other.test"),
            ("cr", REST + b"\rHost: other.test"),
            ("lf", REST + b"\nHost: other.test"),
            ("fold", REST + b"\r\n other.test"),
            ("fold-of-a-second", REST + b"\r\n Host: other.test"),
            ("bracket-and-name", b"[" + REST + b"]"),
        )
    ),
    refused(
        "second-host-folded-in-front",
        HOST,
        b"GET /x HTTP/1.1\r\n Host: other.test\r\nHost: " + REST + b"\r\n\r\n",
    ),
    refused("two-hosts-of-two-apis", HOST, host(REST, b"Host: " + HTTP)),
    refused("two-hosts-and-the-other-api-first", HOST, host(HTTP, b"Host: " + REST)),
    refused("two-hosts-of-one-whose-host-is-kept", HOST, host(KEPT, b"hOST: " + KEPT)),
    refused("two-hosts-one-empty", HOST, host(b"", b"Host: " + REST)),
    refused("second-host-space-before-colon", HOST, host(REST, b"Host : other.test")),
    refused("second-host-nul-before-colon", HOST, host(REST, b"Host\x00: other.test")),
    refused("second-host-behind-a-bare-lf", HOST, host(REST, b"X: y\nHost: other.test")),
    *(
        served(
            f"host-{name}",
            TARGETS_OWN,
            host(REST + port, b"X-Forwarded-Host: other.test", b"X-Original-URL: /smuggled"),
            Arrival(line=b"GET /x HTTP/1.1", has=OUR_HOST),
        )
        for name, port in (("port-empty", b":"), ("port-0", b":0"), ("port-zeros", b":00080"))
    ),
    *(
        Row(
            id=f"host-{name}",
            because="design §6: nobody's host is 403; nothing else of it is believed",
            sends=host(value, b"X-Forwarded-Host: " + REST),
            statuses=(403,),
            goes_on=True,
        )
        for name, value in (
            ("percent-encoded", b"rest%2etest"),
            ("leading-dot", b"." + REST),
            ("suffix", REST + b".other.test"),
            ("prefix", b"other-" + REST),
        )
    ),
    served(
        "host-kept",
        TARGETS_OWN,
        host(KEPT + b":81"),
        Arrival(line=b"GET /x HTTP/1.1", has={"host": KEPT + b":81"}),
    ),
    served(
        "host-kept-of-an-absolute-target",
        "RFC 9112 §3.2.2: Host is the target's authority",
        get(b"http://" + KEPT + b":81/x", host=KEPT + b":81"),
        Arrival(line=b"GET /x HTTP/1.1", has={"host": KEPT + b":81"}),
    ),
    refused(
        "absolute-target-of-another-api-whose-host-is-kept",
        HOST,
        get(b"http://" + REST + b"/x", host=KEPT),
    ),
    refused(
        "absolute-target-of-another-port",
        "design §13: an absolute target of another authority, of which the port is part (RFC 3986)",
        get(b"http://" + KEPT + b":80/x", host=KEPT + b":81"),
    ),
    refused(
        "absolute-target-and-two-hosts",
        HOST,
        get(b"http://" + REST + b"/x", b"Host: other.test"),
    ),
    refused("absolute-target-in-1.0", HOST, get(b"http://other.test/x", version=b"1.0")),
]

# --- targets ----------------------------------------------------------------------------------

STEP: Final = "core/paths: what a backend could read as a step upwards is refused, not matched"
RAW: Final = "design §6.3: what goes on is the client's raw path; decoded once, `%2F` never splits"
_STEPS: Final = (
    b"/a/..%2fb",
    b"/a%2f..%2fb",
    b"/a/%2e%2e%2fb",
    b"/a/%2e%2e/b",
    b"/a/.%2E/b",
    b"/a/%2e/b",
    b"/a/..%5cb",
    b"/a%5c..%5cb",
    b"/a/%2e%2e%5cb",
    b"/a%5c%2e%2e/b",
    b"/a/%c0%ae%c0%ae/b",
    b"/a/..%c0%afb",
    b"/a/%e0%80%af/b",
    b"/a/%f0%80%80%af/b",
    b"/a/..%c1%9cb",
    b"/a/%c0%2e/b",
    b"/a/..%00/b",
    b"/a/%u002e%u002e/b",
)
_PARAMETERS: Final = (b"/a/..;/b", b"/a/..;x=y/b", b"/..;/b", b"/a/%2e%2e;/b", b"/a/..%3b/b")
_WHOLE: Final = (
    b"/a%5cb",
    b"/a%2Fb%2f",
    b"/a%252e%252e%252fb",
    b"/a%25%32%65",
    b"/%2561",
    b"/a;x=../b",
    b"/a;/b;c=d",
    b"/a%3b/b",
    b"/a%3f/b%23c",
    b"/a%0d%0aX:%20y",
    b"/a%20HTTP/1.1%0d%0aHost:%20other.test%0d%0a%0d%0aGET%20/smuggled",
    b"/a?x=%0d%0a%0d%0aGET%20/smuggled%20HTTP/1.1",
    b"/a?x=/../b&y=..%2f",
    b"/...;/b",
)
TARGETS: Final = [
    row
    for kind, api in (("rest", REST), ("http", HTTP))
    for row in (
        *(refused(f"{kind}{path.decode()}", STEP, get(path, host=api)) for path in _STEPS),
        *(
            refused(
                f"{kind}{path.decode()}",
                STEP,
                get(path, host=api),
            )
            for path in _PARAMETERS
        ),
        *(
            served(
                f"{kind}{path.decode()}",
                RAW,
                get(path, host=api),
                Arrival(line=b"GET %b HTTP/1.1" % path),
            )
            for path in _WHOLE
        ),
    )
]
