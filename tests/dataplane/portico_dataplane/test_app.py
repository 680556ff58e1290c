"""The engine as a whole: listen, apply, drain, stop, and what it knows about both ends."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import re
import socket
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from engine import UPSTREAM, snapshot
from portico_dataplane import app
from portico_dataplane.app import Gateway
from portico_dataplane.build import Builder
from portico_dataplane.core.messages import Outcome
from portico_dataplane.http import connection
from portico_dataplane.settings import Settings
from portico_ir import codec
from portico_ir.errors import ErrorKind
from portico_ir.model import (
    Endpoint,
    EndpointSet,
    GatewayUnit,
    HttpProxy,
    Manifest,
    Snapshot,
    Stage,
    Unit,
    UrlTarget,
)
from raw_http import Answer, RawClient, Recorded
from raw_upstream import HOLD, OK, Wait
from sample_requests import make_request
from serving import (
    REST,
    RecordingLines,
    RecordingMeters,
    Serving,
    answering,
    everything,
    route,
    site,
)


def gateway_of(**settings: Any) -> Gateway:
    made = Settings(host="127.0.0.1", port=0, **settings)
    return Gateway(made, meters=RecordingMeters(), lines=RecordingLines())


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = gateway_of()
    await gateway.start()
    yield gateway
    await gateway.stop()


def mocks(body: str = "ok") -> dict[str, Unit]:
    return site(REST, "mock", (route(REST, "GET /", answering(200, body)),))


async def ask(port: int) -> Answer:
    """`GET /` of `mock.test`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: mock.test\r\nConnection: close\r\n\r\n")
    data = await reader.read()
    writer.close()
    await writer.wait_closed()
    (found,) = Recorded(data).answers()
    return found


# --- listen ---------------------------------------------------------------------------------------


async def test_it_listens_where_it_is_told(gateway: Gateway) -> None:
    assert gateway.port > 0
    assert (await ask(gateway.port)).status == 403


async def test_a_port_in_use_is_an_error(gateway: Gateway) -> None:
    other = Gateway(
        Settings(host="127.0.0.1", port=gateway.port),
        meters=RecordingMeters(),
        lines=RecordingLines(),
    )
    with pytest.raises(OSError, match="address already in use"):
        await other.start()
    await other.stop()


async def test_it_takes_sockets_when_it_is_ready() -> None:
    """A worker starts on none and listens once its snapshot serves."""
    gateway = gateway_of()
    await gateway.start([])
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    await gateway.apply(snapshot(mocks(), {}))
    await gateway.listen(sockets)
    assert gateway.port == ports[0]
    for port in ports:
        assert (await ask(port)).body == b"ok"
    await gateway.stop()


async def test_stopping_twice_is_stopping() -> None:
    gateway = gateway_of()
    await gateway.start()
    await gateway.stop()
    await gateway.stop()


# --- apply ----------------------------------------------------------------------------------------


async def test_a_configuration_is_applied(gateway: Gateway) -> None:
    assert not gateway.holder.ready
    document = snapshot(mocks(), {})
    applied = await gateway.apply(document)
    assert applied.digest == gateway.digest == codec.digest(codec.encode(document.manifest))
    assert applied.refused == {}
    assert gateway.holder.ready
    assert (await ask(gateway.port)).body == b"ok"
    await gateway.apply(snapshot(mocks("new"), {}))
    assert (await ask(gateway.port)).body == b"new"


async def test_a_refusal_is_told_and_counted(gateway: Gateway) -> None:
    document = snapshot(mocks(), {})
    lacking = Snapshot(manifest=document.manifest)
    applied = await gateway.apply(lacking)
    assert set(applied.refused) == set(document.manifest.units)
    assert gateway.gauges()["refused_units"] == 2
    await gateway.apply(document)
    assert gateway.gauges()["refused_units"] == 0


async def test_configurations_are_applied_one_after_another(gateway: Gateway) -> None:
    """Whoever asks last is what serves, however long the first one takes."""
    large = site(
        REST,
        "mock",
        tuple(route(REST, f"GET /{n}", answering(200)) for n in range(400)),
        (route(REST, "GET /", answering(200, "first")),),
    )
    first = gateway.apply(snapshot(large, {}))
    second = gateway.apply(snapshot(mocks("second"), {}))
    applied = await asyncio.gather(first, second)
    assert gateway.digest == applied[1].digest
    assert (await ask(gateway.port)).body == b"second"


async def test_the_collector_comes_back_after_a_bug(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        assert not gc.isenabled()
        raise RuntimeError("a bug")

    await gateway.apply(snapshot(mocks(), {}))
    with monkeypatch.context() as patched:
        patched.setattr(Builder, "build", fails)
        with pytest.raises(RuntimeError):
            await gateway.apply(snapshot(mocks("new"), {}))
    assert gc.isenabled()
    assert (await ask(gateway.port)).body == b"ok"
    await gateway.apply(snapshot(mocks("new"), {}))
    assert (await ask(gateway.port)).body == b"new"


async def test_what_served_before_is_freed_without_the_collector() -> None:
    """It is frozen: whatever stands in a circle would never be found (design §6)."""
    made: list[weakref.ref[object]] = []

    class Meter:
        def record(self, status: int, latency: float, integration: float, sent: int) -> None:
            """Nothing."""

    class Meters:
        def meter(self, namespace: str, api: str, kind: str, stage: str, route: str) -> Meter:
            meter = Meter()
            if route:
                made.append(weakref.ref(meter))
            return meter

    settings = Settings(host="127.0.0.1", port=0)
    gateway = Gateway(settings, meters=Meters(), lines=RecordingLines())
    await gateway.start()

    def units(body: str) -> dict[str, Unit]:
        detailed = (Stage(name="$default", detailed_metrics=("*",)),)
        return site(REST, "mock", (route(REST, "GET /", answering(200, body)),), stages=detailed)

    await gateway.apply(snapshot(units("one"), {}))
    assert (await ask(gateway.port)).body == b"one"
    gc.disable()
    try:
        await gateway.apply(snapshot(units("two"), {}))
        assert (await ask(gateway.port)).body == b"two"
        assert [one() is None for one in made] == [True, False]
    finally:
        gc.enable()
    await gateway.stop()


async def test_addresses_go_only_forward(gateway: Gateway) -> None:
    assert gateway.set_endpoints(EndpointSet(sequence=3))
    assert not gateway.set_endpoints(EndpointSet(sequence=2))
    assert gateway.set_endpoints(EndpointSet(sequence=3))


# --- gauges ---------------------------------------------------------------------------------------


def test_gauges() -> None:
    with Serving(site(REST, "rest", everything(REST))) as engine:

        def gauges() -> dict[str, float]:
            found = engine.gateway.gauges()
            return {name: found[name] for name in sorted(found) if name != "config_timestamp"}

        idle = {
            "client_connections": 0,
            "in_flight": 0,
            "refused_units": 0,
            "tls_connections": 0,
            "tls_handshakes_in_progress": 0,
            "upstream_connections_active": 0,
            "upstream_connections_idle": 0,
        }
        assert engine.ask(gauges) == idle
        assert engine.ask(engine.gateway.gauges)["config_timestamp"] > 1e9
        wait = Wait()
        engine.upstream.scripts[b"/x"] = (wait, OK)
        with RawClient(engine.port) as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: rest.test\r\n\r\n")
            engine.upstream.wait_for(lambda: bool(engine.upstream.exchanges), "the request")
            assert engine.ask(gauges) == {
                **idle,
                "client_connections": 1,
                "in_flight": 1,
                "upstream_connections_active": 1,
            }
            wait.event.set()
            client.read_answer()
            assert engine.ask(gauges) == {
                **idle,
                "client_connections": 1,
                "upstream_connections_idle": 1,
            }
        engine.until_clean()
        assert engine.ask(gauges) == {**idle, "upstream_connections_idle": 1}


# --- both ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "hops", "expected"),
    [
        ((), "9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        (("10.0.0.0/8",), "9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        (("10.0.0.0/8",), "10.0.0.1", [], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6", "1.1.1.1 ,10.0.0.2"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["nonsense, 1.1.1.1"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1:80"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", [""], "10.0.0.1"),
        (("10.0.0.0/8",), "", ["1.1.1.1"], ""),
        (("fd00::/8", "10.0.0.0/8"), "fd00::1", ["2001:db8::5, 10.1.1.1"], "2001:db8::5"),
        (("nonsense", "10.0.0.1"), "10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        (("nonsense",), "10.0.0.1", ["1.1.1.1"], "10.0.0.1"),
    ],
)
async def test_the_client_s_address(
    gateway: Gateway, trusted: tuple[str, ...], peer: str, hops: list[str], expected: str
) -> None:
    """The last one that trusted proxies did not make up (design §13)."""
    await gateway.apply(snapshot({"gateway": GatewayUnit(trusted_proxies=trusted)}, {}))
    headers = [(b"X-Forwarded-For", hop.encode()) for hop in hops]
    assert gateway.client_address(peer, [(b"A", b"b"), *headers]) == expected


async def test_nobody_is_trusted_any_more(gateway: Gateway) -> None:
    unit = GatewayUnit(trusted_proxies=("10.0.0.0/8",))
    headers = [(b"x-forwarded-for", b"1.1.1.1")]
    await gateway.apply(snapshot({"gateway": unit}, {}))
    assert gateway.client_address("10.0.0.1", headers) == "1.1.1.1"
    await gateway.apply(snapshot({}, {}))
    assert gateway.client_address("10.0.0.1", headers) == "10.0.0.1"


def test_egress_holds_for_urls_and_changes_at_once() -> None:
    """Design §6: loopback is refused to `url` targets unless it is allowed; a connection that was
    made while it was does not outlive the permission. Services are resolved by reference."""
    with Serving(site(REST, "rest", everything(REST))) as engine:
        url = UrlTarget(url=f"http://127.0.0.1:{engine.upstream.port}/by-url")
        units = site(
            REST,
            "rest",
            (
                route(REST, "GET /url", HttpProxy(targets=(url,))),
                route(REST, "GET /service"),
            ),
        )

        def statuses(**permits: Any) -> tuple[int, int]:
            engine.apply({**units, "gateway": GatewayUnit(**permits)})
            found = []
            with RawClient(engine.port) as client:
                for path in (b"/url", b"/service"):
                    client.send(b"GET %b HTTP/1.1\r\nHost: rest.test\r\n\r\n" % path)
                    found.append(client.read_answer().status)
            return found[0], found[1]

        assert statuses() == (500, 200)
        assert statuses(egress_allow=("127.0.0.0/8",)) == (200, 200)
        assert statuses(egress_allow=("10.0.0.0/8",)) == (500, 200)
        assert statuses(egress_open=True) == (200, 200)
        assert statuses() == (500, 200)
        # The connection to the Service lived through all of it.
        service = [one for one in engine.upstream.exchanges if one.target == b"/service"]
        assert len({one.connection for one in service}) == 1


@pytest.mark.parametrize("kind", list(ErrorKind))
async def test_a_refusal_is_a_whole_answer(gateway: Gateway, kind: ErrorKind) -> None:
    """Rule 10: from the one place that writes errors; counted where no API is known."""
    (answer,) = Recorded(gateway.refusal(kind)).answers()
    assert answer.status >= 400
    assert answer.closes
    assert answer.framing == "length"
    assert answer.get("date") is not None
    assert re.fullmatch(rb"[0-9a-f-]{36}", answer.get("x-amzn-requestid") or b"")
    meter = gateway.unknown_meter
    assert isinstance(meter, object)
    meters = gateway._meters
    assert isinstance(meters, RecordingMeters)
    recorded = meters.by_labels["", "", "", "", ""].requests
    assert [(one.status, one.sent) for one in recorded] == [(answer.status, len(answer.body))]


async def test_jitter_is_a_tenth(gateway: Gateway) -> None:
    found = [gateway.jitter() for _ in range(200)]
    assert 0.9 <= min(found) < max(found) <= 1.1


async def test_failures_are_logged_at_a_bounded_rate(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, app.__name__)
    outcome = Outcome()
    outcome.error = ErrorKind.INTEGRATION_FAILURE
    outcome.integration_error = "it refused"
    for _ in range(500):
        gateway.log_failure(make_request(), outcome, 100.0)
    assert len(caplog.records) == 50
    gateway.log_failure(make_request(), outcome, 101.0)
    assert len(caplog.records) == 51
    assert "it refused" in caplog.records[-1].getMessage()


# --- drain ----------------------------------------------------------------------------------------


@pytest.fixture
def engine() -> Iterator[Serving]:
    with Serving(site(REST, "rest", everything(REST))) as engine:
        yield engine


def get(target: bytes = b"/x") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: rest.test\r\n\r\n" % target


def test_announced_connections_go_on_and_say_goodbye(engine: Serving) -> None:
    """While endpoint lists catch up: accept, answer, and ask to leave; idle ones stay, because
    a request may be on its way on any of them."""
    with RawClient(engine.port) as idle, RawClient(engine.port) as other:
        idle.send(get())
        assert not idle.read_answer().closes
        engine.ask(engine.gateway.begin_drain)
        other.send(get())
        answer = other.read_answer()
        assert (answer.status, answer.closes) == (200, True)
        other.expect_end()
        idle.send(get())
        assert idle.read_answer().closes
        idle.expect_end()


def test_an_answer_that_has_begun_keeps_its_word(engine: Serving) -> None:
    """Its head promised the connection: the client may have sent its next request."""
    wait = Wait()
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    engine.upstream.scripts[b"/slow"] = (begun, wait, b"ok")
    with RawClient(engine.port) as client:
        client.send(get(b"/slow"))
        assert client.sock.recv(1, socket.MSG_PEEK)
        engine.ask(engine.gateway.begin_drain)
        wait.event.set()
        assert not client.read_answer().closes
        client.send(get())
        answer = client.read_answer()
        assert (answer.status, answer.closes) == (200, True)
        client.expect_end()


def test_draining_lets_requests_finish(engine: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LINGER_S", 0.05)  # the client reads on only afterwards
    wait = Wait()
    up = engine.upstream
    up.scripts[b"/slow"] = (wait, OK)
    with RawClient(engine.port) as client, RawClient(engine.port) as idle:
        idle.send(get())
        idle.read_answer()
        client.send(get(b"/slow") + get(b"/never"))
        up.wait_for(lambda: len(up.exchanges) == 2, "both requests")

        async def drain() -> None:
            draining = asyncio.get_running_loop().create_task(engine.gateway.drain(9))
            await asyncio.sleep(0)
            wait.event.set()
            await draining

        engine.run(drain())
        idle.expect_end()
        answer = client.read_answer()
        assert (answer.status, answer.closes) == (200, True)
        client.expect_end()
    assert b"/never" not in [one.target for one in up.exchanges]
    assert engine.ask(engine.gateway.upstreams.counts) == (0, 0)
    with socket.socket() as late:
        assert late.connect_ex(("127.0.0.1", engine.port)) == errno.ECONNREFUSED


def test_draining_has_an_end(engine: Serving) -> None:
    up = engine.upstream
    up.scripts[b"/held"] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(get(b"/held"))
        up.wait_for(lambda: bool(up.exchanges), "the request")
        engine.run(engine.gateway.drain(0.05))
        client.expect_end()
    up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the call")


def test_draining_without_anything_is_immediate(engine: Serving) -> None:
    engine.run(asyncio.wait_for(engine.gateway.drain(3600), 5))


def test_a_stop_ends_everything_wherever_it_is(engine: Serving) -> None:
    """Rule 16: uploading, waiting, called, answering; the fixture sees that nothing is left."""
    up = engine.upstream
    up.answer_early.add(b"/upload")
    up.scripts[b"/upload"] = (HOLD,)
    up.scripts[b"/held"] = (HOLD,)
    up.scripts[b"/part"] = (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", HOLD)
    clients = [RawClient(engine.port) for _ in range(4)]
    clients[0].send(b"PUT /upload HTTP/1.1\r\nHost: rest.test\r\nContent-Length: 9\r\n\r\nabc")
    clients[1].send(get(b"/held"))
    clients[2].send(get(b"/part"))
    clients[2].wait_for(b"part")
    clients[3].send(b"GET /half")
    up.wait_for(lambda: len(up.exchanges) == 3, "the requests")
    engine.run(engine.gateway.stop())
    for client in clients:
        client.read_to_end()
        client.close()
    engine.until_clean()
    assert engine.ask(engine.gateway.upstreams.counts) == (0, 0)


def test_a_stop_while_requests_wait_for_a_connection() -> None:
    """No new attempt is made for who waited."""
    units = site(REST, "rest", everything(REST))
    with Serving(units, upstream_max_connections=1) as engine:
        up = engine.upstream
        up.scripts[b"/held"] = (HOLD,)
        clients = [RawClient(engine.port) for _ in range(3)]
        for number, client in enumerate(clients, 1):
            client.send(get(b"/held"))
            engine.until(lambda n=number: engine.gateway.in_flight == n, "it began")  # type: ignore[misc]
        up.wait_for(lambda: bool(up.exchanges), "the first request")
        engine.run(engine.gateway.stop())
        for client in clients:
            client.close()
        engine.until_clean()
        assert up.connections == 1


async def test_the_manifest_may_be_empty(gateway: Gateway) -> None:
    applied = await gateway.apply(Snapshot(manifest=Manifest(ir_version=1, units={})))
    assert applied.refused == {}
    assert gateway.holder.ready


async def test_endpoints_may_come_alone(gateway: Gateway) -> None:
    """Backend churn rebuilds no router."""
    await gateway.apply(snapshot(site(REST, "rest", everything(REST)), {}))
    before = gateway.holder.current
    one = (Endpoint(host="127.0.0.1", port=1),)
    assert gateway.set_endpoints(EndpointSet(sequence=2, upstreams={UPSTREAM: one}))
    assert gateway.holder.current is before
