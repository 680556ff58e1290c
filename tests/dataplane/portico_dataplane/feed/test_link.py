"""One stream against an operator that says what a test wants, over TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from portico_dataplane.feed.files import Address, TokenFile, TrustFile
from portico_dataplane.feed.link import Link, UnitError
from portico_ir.codec import digest
from portico_ir.leases import Exchange, Settlement
from portico_ir.model import IR_VERSION, Endpoint, Manifest
from portico_ir.stream import (
    Acknowledgement,
    Addresses,
    Advance,
    Follow,
    FromOperator,
    Hello,
    Keeping,
    Settle,
    Settled,
    decode_from_pod,
    encode_frame,
    offer_of,
)
from portico_operator.delivery.authority import make_serving
from stream_operators import authority, token_of

CA = authority()
ONE = (Endpoint(host="10.0.0.1", port=80),)
TWO = (Endpoint(host="10.0.0.2", port=80),)


class Script:
    """The operator's side, by hand."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.heard: list[object] = []
        self.streams: list[web.WebSocketResponse] = []
        self.units: dict[str, bytes] = {}
        self.port = 0

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        self.tokens.append(request.headers["Authorization"])
        response = web.WebSocketResponse()
        await response.prepare(request)
        self.streams.append(response)
        async for message in response:
            self.heard.append(decode_from_pod(message.data))
        return response

    async def unit(self, request: web.Request) -> web.Response:
        name = request.match_info["digest"]
        if name not in self.units:
            return web.Response(status=404)
        return web.Response(body=self.units[name])

    async def say(self, *frames: FromOperator | bytes) -> None:
        for frame in frames:
            data = frame if isinstance(frame, bytes) else encode_frame(frame)
            await self.streams[-1].send_bytes(data)


class Owner:
    """Writes down what the link tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hello(self) -> Hello:
        return Hello(ir_version=IR_VERSION, pod="pod-1")

    def opened(self, link: Link) -> None:
        self.told.append("opened")

    def said(self, link: Link) -> None:
        self.told.append("said")

    def kept(self, link: Link) -> None:
        self.told.append(f"kept {link.term}")

    def settled(self, link: Link, settlement: Settlement) -> None:
        self.told.append(f"settled {settlement.serial}")

    def closed(self, link: Link) -> None:
        self.told.append("closed")


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    app = web.Application()
    app.router.add_get("/stream", script.stream)
    app.router.add_get("/units/{digest}", script.unit)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    tls = make_serving(CA, ["localhost"], dt.datetime.now(dt.UTC)).context()
    sock = socket.create_server(("127.0.0.1", 0))
    script.port = sock.getsockname()[1]
    await web.SockSite(runner, sock, ssl_context=tls).start()
    yield script
    for stream in script.streams:
        await stream.close()
    await runner.cleanup()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
async def link(script: Script, owner: Owner, tmp_path: Path) -> AsyncIterator[Link]:
    (tmp_path / "token").write_text(token_of())
    (tmp_path / "ca").write_text(CA.certificate)
    link = Link(
        Address("localhost", "127.0.0.1", script.port),
        TokenFile(str(tmp_path / "token")),
        TrustFile(str(tmp_path / "ca")),
        owner,
    )
    task = asyncio.create_task(link.run())
    await until(lambda: bool(script.heard))
    yield link
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


HELLO = Hello(ir_version=IR_VERSION, build="b", digest="d", content="c", marks={"Route": "1"})


async def test_it_says_who_it_is_and_is_open_once_greeted(
    script: Script, link: Link, owner: Owner
) -> None:
    assert script.heard == [Hello(ir_version=IR_VERSION, pod="pod-1")]
    assert script.tokens[0].startswith("Bearer ey")
    assert not link.is_open
    await script.say(HELLO)
    await until(lambda: link.is_open)
    assert (link.state.content, link.state.marks) == ("c", {"Route": "1"})
    assert owner.told == ["opened"]


async def test_leases_are_settled_with_an_operator_that_keeps(
    script: Script, link: Link, owner: Owner
) -> None:
    await script.say(HELLO, Keeping(term=4))
    await until(lambda: link.term == 4)
    exchange = Exchange(holder="pod", serial=7)
    link.settle(exchange)
    await until(lambda: Settle(exchange=exchange) in script.heard)
    await script.say(Settled(settlement=Settlement(serial=7)), Keeping())
    await until(lambda: link.term == -1)
    assert owner.told == ["opened", "kept 4", "settled 7", "kept -1"]


async def test_whoever_comes_back_must_say_again_that_he_keeps(
    script: Script, link: Link, owner: Owner
) -> None:
    await script.say(HELLO, Keeping(term=4))
    await until(lambda: link.term == 4)
    await script.streams[-1].close()
    await until(lambda: len(script.streams) == 2)
    await script.say(HELLO)
    await until(lambda: owner.told[-1] == "opened")
    assert link.term == -1


async def test_only_the_latest_of_each_kind_is_said(script: Script, link: Link) -> None:
    await script.say(HELLO)
    await until(lambda: link.is_open)
    for number in range(100):
        link.acknowledge(Acknowledgement(digest=str(number)))
    link.follow(on=True, content="x")
    await until(lambda: len(script.heard) == 3)
    assert script.heard[1:] == [Acknowledgement(digest="99"), Follow(content="x")]


async def test_a_manifest_is_known_by_the_bytes_it_came_in(script: Script, link: Link) -> None:
    manifest = Manifest(ir_version=IR_VERSION, units={"a": "1"})
    encoded, frame = offer_of(manifest, {"Route": "2"})
    await script.say(HELLO, frame)
    await until(lambda: link.offer is not None)
    assert link.offer is not None
    assert (link.offer.digest, link.offer.manifest, link.offer.fault) == (
        digest(encoded),
        manifest,
        "",
    )


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (b'{"ir_version":99,"units":{}}', "irVersion 99"),
        (b'{"ir_version":1,"units":{},"newer":1}', "not readable"),
        (b"7", "not readable"),
    ],
)
async def test_a_manifest_it_cannot_read_is_a_fault_and_no_end(
    script: Script, link: Link, manifest: bytes, fault: str
) -> None:
    await script.say(HELLO, b'{"frame":"manifest","manifest":%b}' % manifest)
    await until(lambda: link.offer is not None)
    assert link.offer is not None
    assert fault in link.offer.fault
    assert link.state.ir_version != IR_VERSION
    assert link.is_open


async def test_addresses_whole_and_changed(script: Script, link: Link, owner: Owner) -> None:
    await script.say(
        HELLO,
        Addresses(sequence=8, since=7, upstreams={"late": ONE}),
        Addresses(sequence=4, upstreams={"a": ONE, "b": ONE}),
        Addresses(sequence=6, since=4, upstreams={"a": TWO}, removed=("b",)),
    )
    await until(lambda: link.sequence == 6)
    assert link.upstreams == {"a": TWO}
    await script.say(Addresses(sequence=9, since=8, upstreams={}))
    await until(lambda: "closed" in owner.told)


async def test_what_is_newer_is_passed_over(script: Script, link: Link) -> None:
    await script.say(HELLO, b'{"frame":"lease","x":1}', Advance(digest="e", content="f"))
    await until(lambda: link.digest == "e")
    assert link.is_open


async def test_nonsense_ends_the_stream_and_another_is_opened(
    script: Script, link: Link, owner: Owner
) -> None:
    await script.say(HELLO, b"nonsense")
    await until(lambda: len(script.streams) == 2)
    assert owner.told == ["opened", "closed"]
    await script.say(HELLO)
    await until(lambda: link.is_open)


async def test_a_stream_that_ends_is_opened_again(script: Script, link: Link, owner: Owner) -> None:
    for count in range(1, 4):
        await script.say(HELLO)
        await until(lambda: link.is_open)
        await script.streams[-1].close()
        await until(lambda: len(script.streams) == count + 1)  # noqa: B023
    assert owner.told == ["opened", "closed"] * 3


async def test_a_unit_must_have_its_digest(script: Script, link: Link) -> None:
    with pytest.raises(UnitError, match="ended"):
        await link.fetch(digest(b"1"))
    await script.say(HELLO)
    await until(lambda: link.is_open)
    script.units = {digest(b"1"): b"1", digest(b"2"): b"forged"}
    assert await link.fetch(digest(b"1")) == b"1"
    with pytest.raises(UnitError, match="not those the manifest names"):
        await link.fetch(digest(b"2"))
    with pytest.raises(UnitError, match="404"):
        await link.fetch(digest(b"3"))
