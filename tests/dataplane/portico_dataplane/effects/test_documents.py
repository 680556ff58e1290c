"""Documents of other people's servers: through the dialer, bounded, and nothing else sent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from certificates import self_signed
from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.effects import documents as module
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.effects.documents import MOST_BYTES, MOST_REDIRECTS, Documents
from portico_dataplane.effects.keysets import NoDocument

LOOPBACK = EgressPolicy(["127.0.0.1/32"])
Answering = Callable[[str], bytes]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    head = f"HTTP/1.1 {status} X\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Server:
    """Raw HTTP: what is said to a path is the test's own; heads are kept."""

    def __init__(self, says: Answering, scheme: str) -> None:
        self.says = says
        self.scheme = scheme
        self.heads: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            writer.write(self.says(head.split(" ")[1]))
            await writer.drain()
            await reader.read()
        writer.close()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"


@contextlib.asynccontextmanager
async def serving(says: Answering, certificate: Path | None = None) -> AsyncIterator[Server]:
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    served = Server(says, "https" if tls else "http")
    listening = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.port = listening.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listening.close()
        await listening.wait_closed()


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(module, "BUDGET_S", 20.0)


async def got(url: str, policy: EgressPolicy = LOOPBACK, **more: Any) -> bytes:
    return await Documents(Dialer(policy), **more).get(url)


async def refusal(url: str, policy: EgressPolicy = LOOPBACK) -> str:
    with pytest.raises(NoDocument) as caught:
        await got(url, policy)
    text = str(caught.value)
    assert "\n" not in text
    return text


async def test_the_body_of_an_answer() -> None:
    async with serving(lambda _: answer(200, b'{"a": 1}')) as server:
        assert await got(server.url) == b'{"a": 1}'
        (head,) = server.heads
    assert head.startswith("GET / HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert "Cookie" not in head


async def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(lambda _: answer(200, b"{}")) as server:
        assert await got(server.url) == b"{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(status: int) -> None:
    def says(path: str) -> bytes:
        if path == "/":
            return answer(status, Location="/next?x=1", Set_Cookie="a=b")
        return answer(200, path.encode())

    async with serving(says) as server:
        assert await got(server.url) == b"/next?x=1"
        assert "Cookie" not in server.heads[1]


async def test_redirects_end() -> None:
    async with serving(lambda _: answer(302, Location="/")) as server:
        assert f"more than {MOST_REDIRECTS} redirects" in await refusal(server.url)
        assert len(server.heads) == MOST_REDIRECTS + 1


async def test_every_hop_is_decided_on() -> None:
    """The second one would be reachable, and is not permitted."""
    async with (
        serving(lambda _: answer(200, b"secret")) as inner,
        serving(lambda _: answer(302, Location=f"http://localhost:{inner.port}/")) as outer,
    ):

        async def resolver(_: str) -> list[str]:
            return ["127.0.0.9"]

        documents = Documents(Dialer(LOOPBACK, resolver))
        with pytest.raises(NoDocument, match=r"127\.0\.0\.9 is a loopback address"):
            await documents.get(outer.url)
        assert inner.heads == []


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (answer(500), "status 500"),
        (answer(201, b"{}"), "status 201"),
        (answer(304), "status 304"),
        (answer(200, b"x" * (MOST_BYTES + 1)), f"more than {MOST_BYTES} bytes"),
        (answer(302), "a redirect to nowhere"),
        (answer(302, Location="ftp://127.0.0.1/"), "not an address of a document"),
        (answer(302, Location="http://[::1"), ""),
        (answer(302, Location="http://"), ""),
        (answer(302, Location="http://user@127.0.0.1/"), "an address with credentials"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
        (b"nonsense\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", ""),
    ],
)
async def test_answers_that_are_no_document(raw: bytes, fault: str) -> None:
    async with serving(lambda _: raw) as server:
        assert fault in await refusal(server.url)


async def test_the_largest_document_is_taken() -> None:
    async with serving(lambda _: answer(200, b"x" * MOST_BYTES)) as server:
        assert len(await got(server.url)) == MOST_BYTES


async def test_compression_is_not_undone() -> None:
    """A small answer stays small, whatever it would have become."""
    async with serving(lambda _: answer(200, b"\x1f\x8b", Content_Encoding="gzip")) as server:
        assert await got(server.url) == b"\x1f\x8b"


async def test_the_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGET_S", 0.1)
    for raw in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"):
        async with serving(lambda _, raw=raw: raw) as server:  # type: ignore[misc]
            assert "no answer within 0.1 s" in await refusal(server.url)


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("http://10.1.2.3/", "private address"),
        ("http://127.0.0.2:8080/", "loopback address"),
        ("http://[::ffff:10.0.0.1]/", "private address"),
        ("file:///etc/passwd", "not an address of a document"),
        ("issuer.example", "not an address of a document"),
        ("", "not an address of a document"),
        ("http://a:b@127.0.0.1/", "an address with credentials"),
        ("http://127.0.0.1:99999/", ""),
        ("http://nobody.invalid/", ""),
    ],
)
async def test_where_it_does_not_go(address: str, fault: str) -> None:
    assert fault in await refusal(address)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "issuer.pem", "127.0.0.1")


async def test_certificates_are_verified(certificate: Path) -> None:
    async with serving(lambda _: answer(200, b"{}"), certificate) as server:
        assert "certificate is not accepted: self-signed" in await refusal(server.url)
        trusting = ssl.create_default_context(cafile=str(certificate))
        assert await got(server.url, tls=trusting) == b"{}"


async def test_https_never_becomes_http(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        serving(lambda _: answer(200, b"{}")) as plain,
        serving(lambda _: answer(302, Location=plain.url), certificate) as server,
    ):
        with pytest.raises(NoDocument, match="redirects from https to http"):
            await got(server.url, tls=trusting)
        assert plain.heads == []


async def test_what_is_left_behind() -> None:
    async with serving(lambda _: answer(200, b"{}")) as server:
        documents = Documents(Dialer(LOOPBACK), ssl.create_default_context())
        for _ in range(3):
            await documents.get(server.url)
        assert len(server.heads) == 3
    assert not [task for task in asyncio.all_tasks() if "aiohttp" in repr(task)]
