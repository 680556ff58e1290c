"""App: all of it starts, says what it waits for, and ends, with no cluster in sight."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from portico_operator.app import App
from portico_operator.cluster.client import Credentials
from portico_operator.settings import OperatorSettings

NOBODY = Credentials(server="http://127.0.0.1:1")
SETTINGS = OperatorSettings(host="127.0.0.1", stream_port=0, admin_port=0)


async def test_it_lives_and_waits_without_an_api_server() -> None:
    async with App(SETTINGS, NOBODY) as app, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{app.admin_port}"
        async with session.get(f"{url}/livez") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 503
            assert "Route" in await answer.text()
        async with session.get(f"{url}/metrics") as answer:
            assert "portico_leader 0.0" in await answer.text()


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError):
            App(OperatorSettings(host="127.0.0.1", stream_port=port, admin_port=0), NOBODY)


async def test_only_the_data_planes_own_account_has_a_class() -> None:
    app = App(
        OperatorSettings(namespace="gw", host="127.0.0.1", stream_port=0, admin_port=0), NOBODY
    )
    async with app:
        assert app.class_of("system:serviceaccount:gw:portico-dataplane") == "portico"
        assert app.class_of("system:serviceaccount:other:portico-dataplane") is None
        assert not app.is_gone("unknown")
