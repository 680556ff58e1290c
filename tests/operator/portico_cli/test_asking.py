"""Issuers and services asked through a gateway that serves nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from engine import snapshot
from portico_cli.asking import Outside
from portico_dataplane.app import Gateway
from portico_dataplane.core.verdicts import CallFunction, FetchKeys, FunctionAnswer, Unavailable
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.meters import StageMeters
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, Endpoint, GatewayUnit, ServiceTarget
from raw_upstream import Upstream
from sample_requests import make_request


class NoLines:
    def write(self, line: str) -> None:
        raise AssertionError(f"nothing was served, but logged: {line}")


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway(Settings(), meters=StageMeters(), lines=NoLines())
    await made.start(())
    yield made
    await made.stop()


def call(name: str) -> CallFunction:
    target = ServiceTarget(upstream=name, host="login")
    return CallFunction(target, "/ask", (), b"{}", 20_000)


async def test_a_service_answers(gateway: Gateway) -> None:
    with Upstream() as service:
        endpoint = Endpoint(host="127.0.0.1", port=service.port)
        await gateway.apply(snapshot({"gateway": GatewayUnit()}, {"d/login:80": (endpoint,)}))
        answer = await Outside(gateway).call(make_request(ApiKind.REST), call("d/login:80"))
        assert isinstance(answer, FunctionAnswer)
        assert answer.status == 200
        (asked,) = service.exchanges
        assert (asked.method, asked.target, asked.body) == (b"POST", b"/ask", b"{}")


async def test_nobody_is_there(gateway: Gateway) -> None:
    answer = await Outside(gateway).call(make_request(ApiKind.REST), call("d/none:80"))
    assert isinstance(answer, Unavailable)
    assert answer.kind is ErrorKind.NO_ENDPOINT


async def test_an_issuer_that_nobody_configured(gateway: Gateway) -> None:
    found = await Outside(gateway).keys(FetchKeys("https://i.example", "k1"))
    assert isinstance(found, Unavailable)
