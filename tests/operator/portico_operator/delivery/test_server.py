"""The stream server, spoken to by plain aiohttp clients: admission, back-pressure, many pods."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from portico_ir import codec
from portico_ir.secrets import Redacted
from portico_ir.stream import (
    Acknowledgement,
    Advance,
    Follow,
    FromPod,
    Hello,
    Offer,
    Token,
    decode_from_operator,
    encode_frame,
    manifest_of,
)
from portico_operator.delivery import access, session
from stream_operators import CLASS, Operator, authority, publication, token_of

CA = authority()
UNITS = {"gateway": b'{"unit":"gateway"}'}


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    running = await Operator(CA).start()
    yield running
    await running.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context(cadata=CA.certificate)
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session_:
        yield session_


class Stream:
    """A pod's end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket

    async def say(self, frame: FromPod) -> None:
        await self.socket.send_bytes(encode_frame(frame))

    async def hear(self) -> Any:
        async with asyncio.timeout(30):
            return decode_from_operator(await self.socket.receive_bytes())

    async def closed(self) -> int | None:
        async with asyncio.timeout(30):
            async for _ in self.socket:
                pass
        return self.socket.close_code


async def connect(
    client: aiohttp.ClientSession, operator: Operator, token: str | None = None
) -> Stream:
    token = token_of() if token is None else token
    socket = await client.ws_connect(
        f"https://{operator.address}/stream", headers={"Authorization": f"Bearer {token}"}
    )
    stream = Stream(socket)
    await stream.say(Hello(ir_version=1))
    assert isinstance(await stream.hear(), Hello)
    return stream


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("path", ["/stream", "/units/abc"])
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({}, "missing"),
        ({"Authorization": "Basic dTpw"}, "missing"),
        ({"Authorization": "Bearer nonsense"}, "malformed"),
        ({"Authorization": f"Bearer {token_of(expires_in=-5)}"}, "expired"),
        ({"Authorization": f"Bearer {token_of(audience='other')}"}, "audience"),
        ({"Authorization": f"Bearer {token_of(account='foreign')}"}, "service_account"),
        ({"Authorization": f"Bearer {token_of('denied')}"}, "refused"),
    ],
)
async def test_a_wrong_expired_or_foreign_token_is_refused_and_counted(
    operator: Operator,
    client: aiohttp.ClientSession,
    path: str,
    header: dict[str, str],
    reason: str,
) -> None:
    operator.reviewer.denied.add("denied")
    operator.server.publish(CLASS, publication(UNITS))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    url = f"https://{operator.address}{path}"
    async with client.get(url, headers=header | upgrade) as answer:
        assert answer.status == 401
        assert (await answer.text()).startswith(reason)
    assert operator.access.denials == {reason: 1}
    assert operator.server.streams().get(CLASS, 0) == 0


async def test_an_api_server_out_of_reach_turns_new_pods_away_and_keeps_the_others(
    operator: Operator, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_RETRY_S", 0.01)
    monkeypatch.setattr(session, "_RENEW_AHEAD_S", access.SUCCESS_S)
    stream = await connect(client, operator)
    operator.reviewer.away = True
    asked = operator.reviewer.asked
    await until(lambda: operator.reviewer.asked > asked + 2)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(client, operator, token_of("pod-2"))
    assert refused.value.status == 503
    assert operator.server.undecided == 1
    operator.server.publish(CLASS, publication(UNITS))
    assert isinstance(await stream.hear(), Advance)
    await stream.socket.close()


async def test_a_pod_is_asked_again_in_the_stream(
    operator: Operator, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_RETRY_S", 0.01)
    monkeypatch.setattr(session, "_RENEW_AHEAD_S", access.SUCCESS_S)
    stream = await connect(client, operator)
    operator.reviewer.denied.add("pod-1")
    assert await stream.closed() == session.NOT_ADMITTED
    assert operator.access.denials["refused"] == 1
    await until(lambda: operator.server.closed["denied"] == 1)


async def test_a_new_token_in_the_stream_is_taken(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    stream = await connect(client, operator)
    asked = operator.reviewer.asked
    await stream.say(Token(token=Redacted(token_of(serial=2))))
    await until(lambda: operator.reviewer.asked == asked + 1)
    await stream.say(Token(token=Redacted(token_of("pod-2"))))
    assert await stream.closed() == session.NOT_ADMITTED


async def test_the_manifest_comes_to_who_follows(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    snapshot = publication(UNITS, marks={"Route": "4"})
    operator.server.publish(CLASS, snapshot)
    stream = await connect(client, operator)
    await stream.say(Follow())
    await stream.hear()
    offer = await stream.hear()
    assert manifest_of(offer) == snapshot.manifest
    (known,) = snapshot.manifest.units.values()
    url = f"https://{operator.address}/units/{known}"
    headers = {"Authorization": f"Bearer {token_of()}"}
    async with client.get(url, headers=headers) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert codec.digest(await answer.read()) == known
    async with client.get(url, headers=headers | {"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == UNITS["gateway"]
    async with client.get(url[:-1] + "!", headers=headers) as answer:
        assert answer.status == 404
    assert operator.reviewer.asked == 2, "the first token differs in its time"


async def test_what_a_newer_pod_says_is_passed_over_and_nonsense_ends_the_stream(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    stream = await connect(client, operator)
    await stream.socket.send_bytes(b'{"frame":"lease","bucket":"x"}')
    await stream.socket.send_bytes(b'{"frame":"follow","newer":[1]}')
    operator.server.publish(CLASS, publication(UNITS))
    assert not isinstance(await stream.hear(), Hello)
    await stream.socket.send_bytes(b"nonsense")
    assert await stream.closed() == session.NOT_UNDERSTOOD


async def test_a_newer_stream_of_a_pod_replaces_the_older(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    operator.live("pod-1")
    operator.server.publish(CLASS, publication(UNITS))
    older = await connect(client, operator)
    newer = await connect(client, operator)
    assert await older.closed() == session.GOING_AWAY
    said = Acknowledgement(digest="x", content=operator.server._class(CLASS).board.content)
    await newer.say(said)
    await until(lambda: operator.server.fleet(CLASS).programmed([], 1).is_true)
    await until(lambda: operator.server.closed["replaced"] == 1)
    assert operator.server.streams() == {CLASS: 1}


async def test_a_pod_that_takes_nothing_holds_up_nobody_and_gets_the_latest(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    slow = await connect(client, operator, token_of("slow"))
    quick = await connect(client, operator, token_of("quick"))
    for stream in (slow, quick):
        await stream.say(Follow())
    # aiohttp reads ahead until its buffer is full: so the pod's end stops reading altogether.
    transport = slow.socket.get_extra_info("socket")
    assert transport is not None
    slow.socket._response.connection.transport.pause_reading()  # type: ignore[union-attr]
    large = {f"api/{number:05}": b"%d" % number for number in range(5_000)}
    for mark in range(60):
        operator.server.publish(
            CLASS, publication(large | {"gateway": b"%d" % mark}, marks={"Route": str(mark)})
        )
        while not (isinstance(frame := await quick.hear(), Offer) and frame.marks):
            pass
        assert frame.marks["Route"] == str(mark)
    slow.socket._response.connection.transport.resume_reading()  # type: ignore[union-attr]
    heard: list[str] = []
    while "59" not in heard:
        frame = await slow.hear()
        if isinstance(frame, Offer):
            heard.append(frame.marks["Route"])
    assert heard == sorted(heard, key=int)
    assert len(heard) < 60, "states that it missed were queued"
    for stream in (slow, quick):
        await stream.socket.close()


async def test_two_hundred_pods_at_once(operator: Operator, client: aiohttp.ClientSession) -> None:
    names = [f"pod-{number}" for number in range(200)]
    operator.live(*names)
    operator.server.publish(CLASS, publication(UNITS, marks={"Route": "1"}))

    async def live(name: str) -> None:
        stream = await connect(client, operator, token_of(name))
        await stream.say(Follow())
        while True:
            message = await stream.socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            frame = decode_from_operator(message.data)
            if isinstance(frame, Offer):
                board = operator.server._class(CLASS).board
                await stream.say(Acknowledgement(digest=board.digest, content=board.content))

    pods = [asyncio.create_task(live(name)) for name in names]
    fleet = operator.server.fleet(CLASS)
    await until(lambda: fleet.standing().settled == 1)
    began = time.time()
    operator.server.publish(
        CLASS, publication(UNITS | {"api/a": b"[]"}, marks={"Route": "2"}), changed_at=began
    )
    await until(lambda: fleet.standing().settled == 2)
    assert fleet.standing().having(2) == 200
    assert operator.server.streams() == {CLASS: 200}
    assert operator.measures.seconds
    await operator.close()
    await asyncio.wait_for(asyncio.gather(*pods), 30)
    assert operator.server.streams() == {CLASS: 0}
    assert fleet.standing().unreachable == tuple(sorted(names))


async def test_listeners_hear_of_what_status_can_tell_and_of_no_more(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    heard: list[int] = []
    operator.server.subscribe(lambda: heard.append(1))
    operator.server.publish(CLASS, publication(UNITS))
    stream = await connect(client, operator)
    said = Acknowledgement(digest="x", content=operator.server._class(CLASS).board.content)
    await stream.say(said)
    await until(lambda: operator.server.fleet(CLASS).told("pod-1")[0] == 1)
    count = len(heard)
    for mark in range(5):
        await stream.say(
            Acknowledgement(digest="x", content=said.content, marks={"Route": str(mark)})
        )
    fleet = operator.server.fleet(CLASS)
    await until(lambda: (said := fleet.said("pod-1")) is not None and said.marks == {"Route": "4"})
    assert len(heard) == count
    operator.server.publish(CLASS, publication(UNITS, marks={"Route": "9"}))
    assert len(heard) == count
    await stream.socket.close()


async def test_a_rotated_certificate_is_served_without_a_restart(
    operator: Operator, client: aiohttp.ClientSession
) -> None:
    stream = await connect(client, operator)
    other = authority()
    operator.certify(other)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await connect(client, operator, token_of("pod-2"))
    context = ssl.create_default_context(cadata=CA.certificate + other.certificate)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as again:
        await (await connect(again, operator, token_of("pod-2"))).socket.close()
    operator.server.publish(CLASS, publication(UNITS))
    assert isinstance(await stream.hear(), Advance)
    await stream.socket.close()
