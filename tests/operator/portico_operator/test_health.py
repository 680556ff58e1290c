"""Health: reasons as they are at the moment."""

from __future__ import annotations

import socket

import aiohttp

from portico_operator.health import HealthServer


async def test_probes() -> None:
    state = {"dead": "", "unready": "missing: Route"}
    server = HealthServer(
        dead=lambda: state["dead"], unready=lambda: state["unready"], metrics=lambda: b"x 1\n"
    )
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(listening)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with aiohttp.ClientSession() as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(url + path) as answer:
                return answer.status, await answer.text()

        assert await ask("/livez") == (200, "ok\n")
        assert await ask("/readyz") == (503, "missing: Route\n")
        state |= {"dead": "ended: lease", "unready": ""}
        assert await ask("/livez") == (503, "ended: lease\n")
        assert await ask("/readyz") == (200, "ok\n")
        assert await ask("/metrics") == (200, "x 1\n")
        assert (await ask("/config"))[0] == 404
    await server.close()
